"""The one file: it starts, it stands on its own once it runs, and says in words where it cannot."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundle import archive, launcher
from console import commands
from tests.bundle.made import installed, one_file, run, started
from tests.support.waiting import until
from tests.test_proxy import ask

PAGES = (
    *("/", "/healthz", "/readyz", "/metrics", "/dashboard", "/v1/models", "/v1/models/demo", "/debug/quirks"),
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
        assert "the shipped settings are used" in said and f"{file} init" in said
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
    assert all(f"{file} {name}" in listed for name in commands.COMMANDS)
    assert not any(f"{file} {name}" in listed for name in commands.DEVELOPERS)
    assert run(file, "nonsense", home=home).returncode == 2
    assert "checkout" in run(file, "test", home=home).stderr


@pytest.mark.parametrize("name", [name for name, row in commands.COMMANDS.items() if row.module])
def test_each_command_starts_there(file: Path, home: Path, name: str) -> None:
    """As far as it can be asked for help; those that start a client hand that on to it."""
    done = run(file, name, "--help", home=home)
    asked = done.stdout if done.returncode == 0 else done.stderr
    assert name in asked and "Traceback" not in done.stderr, done


def test_rolling_back_is_upgrading_to_the_older_file(tmp_path: Path) -> None:
    """In place, each time, while it serves."""
    older, newer = (one_file(tmp_path / f"{commit}.pyz", commit) for commit in ("older", "newer"))
    place = Path(shutil.copy(older, tmp_path / "proxy.pyz"))
    with started(place, home=tmp_path) as (process, url, _):
        pids = [process.pid]
        try:
            assert build_of(url) == "older"
            for release, commit in ((newer, "newer"), (older, "older")):
                os.replace(shutil.copy(release, tmp_path / "next"), place)
                os.kill(pids[-1], signal.SIGUSR2)
                until(lambda commit=commit: build_of(url) == commit, 30, 0.05)
                assert asked(url, "/v1/messages", BODIES["/v1/messages"]) == 200
                until(lambda: len(upgrades(tmp_path)) == len(pids), 30, 0.05)
                pids.append(upgrades(tmp_path)[-1])
            assert len(set(pids)) == 3 and process.wait(20) == 0
        finally:
            for pid in pids[1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def build_of(url: str) -> str:
    with urllib.request.urlopen(url + "/metrics", timeout=20) as reply:
        found = re.search(r'proxy_build_info\{.*?commit="(\w+)"', reply.read().decode())
    assert found
    return found[1]


def upgrades(folder: Path) -> list[int]:
    """The processes that have taken over, as the log tells them."""
    lines = [json.loads(line) for line in (folder / "logs" / "proxy.json").read_text().splitlines()]
    return [line["pid"] for line in lines if line.get("event") == "upgraded"]


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


def test_a_cache_that_is_too_small_is_said_in_words(file: Path, tmp_path: Path) -> None:
    """A limit on files' sizes stands in for a full disk: writing fails in the middle."""
    (tmp_path / "cache").mkdir()
    command = [sys.executable, "-I", str(file), "--cache", str(tmp_path / "cache"), "--version"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert done.returncode == 73 and "Make room" in done.stderr and "--cache FOLDER" in done.stderr
    assert "Traceback" not in done.stderr and list((tmp_path / "cache").iterdir()) == []


def test_a_cache_where_nothing_may_run_is_said_in_words(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(built) as opened:
        stamp = opened.read("build.json")
        facts = json.loads(stamp)
        assert launcher.unpacked(opened, stamp, facts, str(tmp_path / "cache")).startswith(str(tmp_path))
        monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_NOEXEC))
        with pytest.raises(SystemExit) as ended:
            launcher.unpacked(opened, stamp, facts, str(tmp_path / "cache"))
    assert ended.value.code == 73
    assert "noexec" in (said := capsys.readouterr().err) and "--cache FOLDER" in said


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
    assert all(parts[name]["licenses"] and parts[name]["purl"] for name in ("pycurl", "tornado", "ujson", "uplot"))
    references = {part["bom-ref"] for part in made["components"]} | {"anthropic-proxy"}
    assert len(references) == len(made["components"]) + 1
    assert all({row["ref"], *row["dependsOn"]} <= references for row in made["dependencies"])
