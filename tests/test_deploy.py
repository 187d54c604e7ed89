"""deploy/ and the wheel: what can be checked here with the real programs is, where they are installed."""

from __future__ import annotations

import platform
import plistlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bundle import backend
from tests.bundle.made import one_file
from tests.support import lacking

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"


def done(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(command, env=base | environ, capture_output=True, text=True, timeout=60)


def test_install_and_uninstall_leave_nothing(tmp_path: Path) -> None:
    python = shutil.which("python3", path="/usr/bin")
    same = python and done(python, "-V").stdout.split()[1].rsplit(".", 1)[0] == f"3.{sys.version_info.minor}"
    if not same:
        pytest.skip("/usr/bin/python3 is of another version than the Python of the tests")
    root, file = tmp_path / "root", one_file(tmp_path / "a.pyz")
    said = done("bash", str(DEPLOY / "install.sh"), "install", str(file), DESTDIR=str(root), HOME=str(tmp_path))
    assert said.returncode == 0, said
    kept = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert "opt/anthropic-proxy/anthropic-proxy.pyz" in kept and "etc/anthropic-proxy/settings.ini" in kept
    own = root / "etc/anthropic-proxy/settings.ini"
    assert own.stat().st_mode & 0o777 == 0o640  # it may hold keys
    own.write_text("# mine\n")
    own.chmod(0o644)
    said = done("bash", str(DEPLOY / "install.sh"), "install", str(file), DESTDIR=str(root))
    assert said.returncode == 0 and "may no longer read it" in said.stdout
    assert own.read_text() == "# mine\n" and own.stat().st_mode & 0o777 == 0o640
    assert done("bash", str(DEPLOY / "install.sh"), "uninstall", DESTDIR=str(root)).returncode == 0 and own.exists()
    assert done("bash", str(DEPLOY / "install.sh"), "uninstall", "--purge", DESTDIR=str(root)).returncode == 0
    assert [path for path in root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["uninstall", "--help"], 0),
        (["uninstall", "-h"], 0),
        (["install", "--help"], 0),
        (["uninstall", "--purg"], 2),
        (["uninstall", "--purge", "now"], 2),
        (["install", "--force"], 2),
        (["install", "a.pyz", "b.pyz"], 2),
        ([], 2),
    ],
)
def test_a_question_or_a_slip_takes_no_service_away(tmp_path: Path, words: list[str], code: int) -> None:
    program = tmp_path / "opt/anthropic-proxy/anthropic-proxy.pyz"
    program.parent.mkdir(parents=True)
    program.write_text("")
    said = done("bash", str(DEPLOY / "install.sh"), *words, DESTDIR=str(tmp_path))
    assert said.returncode == code and program.exists()
    assert "./run.sh uninstall [--purge]" in (said.stderr if code else said.stdout)


def test_the_newest_bundle_that_the_machines_python_runs_is_installed(tmp_path: Path) -> None:
    """The bundles are scripts that only tell their names here."""
    python = shutil.which("python3", path="/usr/bin")
    if not python:
        pytest.skip("there is no /usr/bin/python3")
    fits = "py" + "".join(done(python, "-V").stdout.split()[1].split(".")[:2])
    (tmp_path / "deploy").mkdir()
    for name in ("install.sh", "anthropic-proxy.service", "anthropic-proxy.socket"):
        shutil.copy(DEPLOY / name, tmp_path / "deploy")
    (tmp_path / "settings.ini").write_text("")
    (tmp_path / "dist").mkdir()
    for name in (f"0.9.0-{fits}", f"0.10.0-{fits}", "0.11.0-py399"):
        file = tmp_path / f"dist/anthropic-proxy-{name}-linux-{platform.machine()}.pyz"
        file.write_text(f"print({name!r})\n")
    (tmp_path / "tmp").mkdir()
    install = str(tmp_path / "deploy/install.sh")
    said = done("bash", install, "install", DESTDIR=str(tmp_path / "root"), TMPDIR=str(tmp_path / "tmp"))
    assert said.returncode == 0 and f"\n0.10.0-{fits}\n" in said.stdout, said
    assert not list((tmp_path / "tmp").iterdir())  # nothing of the trial is left behind


def test_installing_the_same_file_again_keeps_the_one_to_go_back_to(tmp_path: Path) -> None:
    if not shutil.which("python3", path="/usr/bin"):
        pytest.skip("there is no /usr/bin/python3")
    file = tmp_path / "a.pyz"
    for release in ("1", "2", "2"):
        file.write_text(f"print({release})\n")
        said = done("bash", str(DEPLOY / "install.sh"), "install", str(file), DESTDIR=str(tmp_path / "root"))
        assert said.returncode == 0, said
    program = tmp_path / "root/opt/anthropic-proxy"
    assert (program / "anthropic-proxy.pyz").read_text() == "print(2)\n"
    assert (program / "previous.pyz").read_text() == "print(1)\n"


def test_the_unit_is_hardened() -> None:
    text = (DEPLOY / "anthropic-proxy.service").read_text()
    for line in ("Type=notify", "NotifyAccess=all", "WatchdogSec=30", "DynamicUser=yes", "ProtectSystem=strict"):
        assert f"\n{line}\n" in text
    group = re.search(r"^readers=(\S+)", (DEPLOY / "install.sh").read_text(), re.M)
    assert group is not None and f"\nSupplementaryGroups={group[1]}\n" in text  # else it cannot read its settings
    if not shutil.which("systemd-analyze"):
        pytest.skip(lacking.missing("systemd-analyze", "systemd"))
    said = done("systemd-analyze", "security", "--offline=yes", str(DEPLOY / "anthropic-proxy.service")).stdout
    level = re.search(r"exposure level[^:]*: ([\d.]+)", said)
    if level is None:
        pytest.skip("this systemd-analyze cannot judge a file: it is older than 250")
    assert float(level[1]) <= 1.5


@lacking.program("haproxy", path="/usr/sbin")
def test_haproxy_takes_its_file(tmp_path: Path) -> None:
    text = (DEPLOY / "haproxy.cfg").read_text()
    (tmp_path / "h.cfg").write_text(text.replace(" ssl crt /etc/haproxy/proxy.pem alpn h2,http/1.1", ""))
    assert done("haproxy", "-c", "-f", str(tmp_path / "h.cfg")).returncode == 0


@lacking.program("haproxy", path="/usr/sbin")
def test_haproxys_file_takes_the_fleets_hosts(tmp_path: Path) -> None:
    text = (DEPLOY / "haproxy.cfg").read_text()
    (tmp_path / "h.cfg").write_text(text.replace(" ssl crt /etc/haproxy/proxy.pem alpn h2,http/1.1", ""))
    for one, fine in (("127.0.0.1:9", True), ("127.0.0.1:notaport", False)):
        assert (done("haproxy", "-c", "-f", str(tmp_path / "h.cfg"), PROXY_ONE=one).returncode == 0) is fine


def test_the_fleets_compose_file_fits_the_others() -> None:
    text, haproxy = (DEPLOY / "fleet.compose.yaml").read_text(), (DEPLOY / "haproxy.cfg").read_text()
    for name in ("PROXY_ONE", "PROXY_TWO"):
        assert f"{name}:" in text and f"${{{name}-" in haproxy
    assert re.search(r"^  (one|two|redis|haproxy):", text, re.MULTILINE)
    assert "EXTRAS" in (DEPLOY / "Dockerfile").read_text()
    assert 'ports: ["8443:8443"]' in text and "bind :8443 " in haproxy


def test_the_property_list_is_one() -> None:
    assert plistlib.loads((DEPLOY / "anthropic-proxy.plist").read_bytes())["Label"] == "anthropic-proxy"


def test_the_image_has_all_that_runs() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names >= {"proxy.py", "settings.ini", "requirements.txt", *backend.contents.PACKAGES}


def test_the_wheel_has_the_program_and_its_pins(tmp_path: Path) -> None:
    name = backend.build_wheel(str(tmp_path))
    with zipfile.ZipFile(tmp_path / name) as wheel:
        files = {each: wheel.read(each) for each in wheel.namelist()}
        wheel.extractall(tmp_path / "site")
    metadata = files[f"{backend.INFO}/METADATA"].decode()
    assert all(f"Requires-Dist: {pin.name}=={pin.version}" in metadata for pin in backend.contents.pins())
    assert b"anthropic-proxy = anthropic_proxy.__main__:main" in files[f"{backend.INFO}/entry_points.txt"]
    started = subprocess.run(
        [sys.executable, "-m", "anthropic_proxy", "--print-config"],
        cwd=tmp_path / "site", env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    assert started.returncode == 0 and "[server]" in started.stdout, started
