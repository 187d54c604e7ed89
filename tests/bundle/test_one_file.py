"""The one file: it starts, it stands on its own once it runs, and says in words where it cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from bundle import archive
from tests.bundle.made import installed, one_file, run, started
from tests.test_proxy import ask

PAGES = (
    *("/", "/healthz", "/readyz", "/metrics", "/dashboard", "/v1/models", "/v1/models/demo", "/debug/lessons"),
    *("/debug/upstreams", "/nowhere", "/v1/responses/resp_1"),
    *(f"/dashboard/data/{name}" for name in ("now", "series", "upstreams", "requests", "usage", "cache", "settings")),
    "/dashboard/data/connect",
)
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
BODIES = {
    "/v1/messages": {"model": "demo", "max_tokens": 99, "messages": HELLO},
    "/v1/messages/count_tokens": {"model": "demo", "messages": HELLO},
    "/v1/chat/completions": {"model": "demo", "messages": HELLO},
    "/v1/responses": {"model": "demo", "input": "hello"},
    "/v1/responses/input_tokens": {"model": "demo", "input": "hello"},
    "/v1/responses/compact": {"model": "demo", "input": [{"role": "user", "content": "hello"}]},
    "/debug/translate?to=chat": {"model": "demo", "max_tokens": 99, "messages": HELLO},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_file(tmp_path_factory.mktemp("built") / "proxy.pyz")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whose cache all tests share that do not change it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def file(built: Path, tmp_path: Path) -> Path:
    """The one file in a folder of its own."""
    return Path(shutil.copy(built, tmp_path / "proxy.pyz"))


def asked(url: str, path: str, body: dict[str, object] | None = None) -> int:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            reply.read()
            return int(reply.status)
    except urllib.error.HTTPError as refused:
        refused.read()
        return refused.code


def test_the_same_tree_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    assert one_file(tmp_path / "again.pyz").read_bytes() == built.read_bytes()


def test_once_it_runs_it_needs_neither_its_file_nor_its_cache(file: Path, tmp_path: Path) -> None:
    with started(file, home=tmp_path) as (process, url, said):
        file.write_bytes(b"another release")
        shutil.rmtree(tmp_path / ".cache")
        assert "the shipped settings hold" in said and f"{file} init" in said
        for path in PAGES:
            assert asked(url, path) in (200, 404), path
        for path, body in BODIES.items():
            for more in ({}, {"stream": True} if path.count("/") < 4 and "debug" not in path else {}):
                assert asked(url, path, body | more) in (200, 404), path  # no upstream here compacts
        chat = {"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}
        assert asked(url, "/v1/chat/completions", BODIES["/v1/chat/completions"] | {"tools": [chat]}) == 200
        process.terminate()
        assert process.wait(15) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    logs = "".join(path.read_text() for path in (tmp_path / "logs").glob("*.json"))
    assert logs and "No module named" not in logs and "No such file" not in logs


def test_it_has_the_commands(file: Path, home: Path) -> None:
    assert "(commit abc, CPython" in run(file, "--version", home=home).stdout
    listed = run(file, "help", home=home).stdout
    assert all(f"{file} {name}" in listed for name in ("doctor", "stats", "init"))
    assert "stats" in run(file, "stats", "--help", home=home).stdout
    assert run(file, "doctor", "--help", home=home).returncode == 0
    assert run(file, "nonsense", home=home).returncode == 2
    assert "checkout" in run(file, "test", home=home).stderr


def test_settings_and_logs_lie_beside_it(file: Path, home: Path) -> None:
    assert run(file, "init", home=home).stdout == f"wrote {file.parent / 'settings.ini'}\n"
    assert run(file, "init", home=home).returncode == 1
    own = file.parent / "settings.ini"
    own.write_text(own.read_text().replace("ping_seconds = 10", "ping_seconds = 11"))
    assert "ping_seconds = 11" in run(file, "--print-config", home=home).stdout
    with started(file, home=home) as (_, url, said):
        assert "demo" in ask(url) and "shipped settings" not in said
    assert (file.parent / "logs").is_dir()


def test_what_was_changed_in_the_cache_is_unpacked_again(file: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run(file, "--version", "--cache", str(cache), home=tmp_path).returncode == 0
    (folder,) = cache.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    for damage in ("packages/pycurl.py", "program/proxy.py"):
        victim = next(folder.glob("packages/*.so")) if damage == "packages/pycurl.py" else folder / damage
        victim.write_bytes(b"something else")
        assert run(file, f"--cache={cache}", "--version", home=tmp_path).returncode == 0
        assert victim.read_bytes() != b"something else"
    compiled = next(folder.glob("program/__pycache__/proxy.*.pyc"))
    compiled.write_bytes(compiled.read_bytes()[:-9])
    folder.chmod(0o755)
    assert run(file, "--version", "--cache", str(cache), home=tmp_path).returncode == 0
    assert [each.name for each in cache.iterdir()] == [folder.name] and folder.stat().st_mode & 0o777 == 0o700


def test_several_first_starts_at_once(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(file), "--cache", str(tmp_path / "c"), "--check-config"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(one.communicate(timeout=60), one.returncode) for one in running] == [((b"ok\n", b""), 0)] * 4
    assert len(list((tmp_path / "c").iterdir())) == 1


@pytest.mark.parametrize(
    ("fact", "value", "words"),
    [
        ("python", [3, 99], "start it with python3.99"),
        ("platform", "linux-riscv64", "is for CPython 3."),
        ("glibc", [9, 99], "needs glibc 9.99 or newer"),
    ],
)
def test_where_it_does_not_fit_it_says_so_and_does_nothing(
    built: Path, tmp_path: Path, fact: str, value: object, words: str
) -> None:
    with zipfile.ZipFile(built) as opened:
        files = {name: opened.read(name) for name in ("__main__.py", "build.json")}
    files["build.json"] = json.dumps(json.loads(files["build.json"]) | {fact: value}).encode()
    archive.write(tmp_path / "other.pyz", files)
    done = run(tmp_path / "other.pyz", home=tmp_path)
    assert done.returncode == 69 and words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / ".cache").exists()


def test_a_place_that_cannot_be_unpacked_to_is_said_in_words(file: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = run(file, "--cache", str(tmp_path / "taken" / "x"), home=tmp_path)
    assert done.returncode == 73 and "--cache FOLDER" in done.stderr and "Traceback" not in done.stderr


def test_the_launcher_is_read_by_old_pythons() -> None:
    """Nothing in it that Python 2.7 cannot parse: no annotations, no f-strings."""
    text = (Path(__file__).resolve().parents[2] / "bundle" / "launcher.py").read_text()
    signs = (' f"', '(f"', "->", ": str", ":=", "nonlocal", "print(")
    assert text.isascii() and not any(sign in text for sign in signs)


def test_each_part_is_listed_with_its_licence() -> None:
    from bundle import sbom

    here = Path(os.devnull)
    wheels = [wheel._replace(path=here) for wheel in installed()]
    made = json.loads(sbom.made_of(wheels, "abc", "linux-x86_64"))
    assert made["bomFormat"] == "CycloneDX" and made == json.loads(sbom.made_of(wheels, "abc", "linux-x86_64"))
    parts = {part["name"]: part for part in made["components"]}
    assert {"pycurl", "tornado", "ujson"} <= parts.keys()
    assert all(parts[name]["licenses"] and parts[name]["purl"] for name in ("pycurl", "tornado", "ujson"))
    references = {part["bom-ref"] for part in made["components"]} | {"anthropic-proxy"}
    assert len(references) == len(made["components"]) + 1
    assert all({row["ref"], *row["dependsOn"]} <= references for row in made["dependencies"])
