"""Optional requirements inside of what is built: named, pinned, and there once."""

from __future__ import annotations

import json
import posixpath
import re
import zipfile
from pathlib import Path

import pytest

from bundle import backend, build, contents

BASE = {pin.name for pin in contents.pins()}


def test_what_an_extra_needs_comes_beside_the_rest() -> None:
    every = contents.pins(contents.extras())
    assert len({pin.name for pin in every}) == len(every) > len(BASE)
    assert {"redis"} == {pin.name for pin in contents.pins(["redis"]) if pin.is_for((3, 12))} - BASE
    assert "async-timeout" in {pin.name for pin in contents.pins(["redis"]) if pin.is_for((3, 11))}
    assert all(pin.hashes for pin in every)


def test_a_marker_that_is_not_understood_is_no_guess() -> None:
    assert contents._below("; python_full_version < '3.11.3' and implementation_name != 'PyPy'", "x.txt") == (3, 11, 3)
    with pytest.raises(ValueError, match=r"x\.txt: a marker that the bundle does not know: sys_platform == 'win32'"):
        contents._below("; sys_platform == 'win32'", "x.txt")


def test_the_name_tells_what_is_inside() -> None:
    assert contents.label() == build.VERSION
    label = contents.label(["redis", "otel"])
    assert label == f"{build.VERSION}+otel.redis"
    assert contents.stem((3, 11), "linux-x86_64", label) == f"anthropic-proxy-{label}-py311-linux-x86_64"
    made = build.one_file([], (3, 11), "linux-x86_64", "abc", b"{}", label)
    assert json.loads(made["build.json"])["version"] == label


def test_the_zip_has_the_file_that_its_proxy_installs_from() -> None:
    plain, with_redis = build.offline_folder([], "abc", b"{}"), build.offline_folder([], "abc", b"{}", ["redis"])
    assert with_redis.keys() - plain.keys() == {f"anthropic-proxy-{build.VERSION}/extras/redis.txt"}


_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)|\b(docs/\w+\.md)")


def test_who_has_no_network_finds_what_the_papers_of_the_zip_point_to() -> None:
    """The zip is for hosts without one, and its README is mostly pointers."""
    made = build.offline_folder([], "abc", b"{}")
    root = f"anthropic-proxy-{build.VERSION}"
    papers = {name: data.decode() for name, data in made.items() if name.endswith((".md", "/settings.ini"))}
    assert {f"{root}/README.md", f"{root}/docs/operations.md", f"{root}/SECURITY.md"} <= papers.keys()
    for name, text in papers.items():
        for near, from_root in _LINK.findall(text):
            told = posixpath.normpath(posixpath.join(posixpath.dirname(name), near) if near else f"{root}/{from_root}")
            assert any(each == told or each.startswith(f"{told}/") for each in made), f"{name} points to {told}"
    assert f"{root}/deploy/nginx.conf" in made and f"{root}/deploy/Dockerfile" in made


def test_pip_knows_them_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / backend.build_wheel(str(tmp_path))) as wheel:
        lines = wheel.read(f"{backend.INFO}/METADATA").decode().splitlines()
    told = [line.removeprefix("Provides-Extra: ") for line in lines if line.startswith("Provides-Extra: ")]
    assert told == contents.extras()
    assert [line for line in lines if "extra == 'redis'" in line] == [
        "Requires-Dist: async-timeout==5.0.1 ; python_full_version < '3.11.3' and extra == 'redis'",
        next(line for line in lines if line.startswith("Requires-Dist: redis==")),
    ]
