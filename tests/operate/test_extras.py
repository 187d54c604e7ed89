"""Optional requirements are installed where run.sh has made the environment, and named elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from operate import extras, installation

ROOT = Path(__file__).resolve().parents[2]
ABSENT = extras.Extra("absent", "absent_module_of_a_test", "absent-package")
SETTING = "[section] key"


@pytest.fixture
def own_venv(monkeypatch, tmp_path):
    """The program is in tmp_path, with the running interpreter's environment as its .venv; yields the commands run."""
    monkeypatch.setattr(installation, "PROGRAM", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    (tmp_path / "extras").mkdir()
    (tmp_path / "extras" / "absent.txt").write_text("absent-package==1\n")
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, len(ran) - 1, "", "line\nno network\n")

    monkeypatch.setattr(extras.subprocess, "run", run)
    return ran


def test_what_is_here_is_not_installed(own_venv):
    here = [extras.Extra("absent", "json", "json"), extras.Extra("absent", "os.path", "os")]
    extras.ensure([(extra, SETTING) for extra in here], print)
    assert own_venv == []


def test_what_is_missing_is_installed_with_its_hashes(own_venv, tmp_path, capsys):
    extras.ensure([(ABSENT, SETTING)], print)
    assert own_venv[0][1:3] == ["-m", "pip"]
    assert own_venv[0][-3:] == ["--require-hashes", "-r", str(tmp_path / "extras" / "absent.txt")]
    assert capsys.readouterr().out == "Installing absent-package, which [section] key needs ...\n"


def test_a_failed_install_says_what_pip_said(own_venv):
    extras.ensure([(ABSENT, SETTING)], print)
    with pytest.raises(extras.Missing, match=r"\[section\] key needs the package absent-package.*failed: no network"):
        extras.ensure([(ABSENT, SETTING)], print)


def test_elsewhere_the_package_is_named():
    with pytest.raises(extras.Missing, match=r"\[section\] key needs the package absent-package.*-m pip install"):
        extras.ensure([(ABSENT, SETTING)], print)


def test_every_extra_is_pinned_as_the_tests_use_it():
    """The tests run with what requirements-dev.txt pins; a user gets the same versions."""
    wanted = {"-r requirements.txt"}
    tested = {line for line in (ROOT / "requirements-dev.txt").read_text().splitlines() if "==" in line} | wanted
    files = sorted((ROOT / "extras").glob("*.txt"))
    assert files
    for file in files:
        pins = [line for line in file.read_text().splitlines() if re.match(r"[\w.-]+==", line)]
        assert pins
        assert [pin for pin in pins if pin not in tested] == [], file.name
