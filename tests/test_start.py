"""What a proxy loads at its start: counted in modules, since seconds are another machine's on another day."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import proxy
from operate.extras import NEEDS

ROOT = Path(__file__).resolve().parent.parent
OWN = ("console", "demo", "gateway", "operate", "translate", "upstream")
COMMANDS = ("console/doctor/", "console/usage.py", "console/stats.py", "console/launch.py", "console/init.py")

MOST_OWN, MOST_OTHER = 530, 290
"""Modules of an idle proxy: a few more than today. Each takes a start about a millisecond, and 20 KB."""

MOST_PATTERNS = 320
"""Regular expressions that are compiled by then, the packages' included: 0.1 ms each. What few requests need is late
(translate/late.py)."""

SETTINGS = "[server]\nport = 0\n[upstream u]\nprotocol = chat\nbase_url = http://127.0.0.1:9\napi_key = k\n"

IDLE = """
import json, os, re, signal, sys
compiled, compile = [], re._compiler.compile
re._compiler.compile = lambda *said: compiled.append(said) or compile(*said)
import proxy

def ready():
    print(json.dumps([*sys.modules, f"{len(compiled)} patterns"]), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

serving, proxy.memory.collect_seldom = proxy.memory.collect_seldom, lambda: (serving(), ready())
sys.exit(proxy.main(sys.argv[1:]))
"""

FORKS = """
import gc, json, sys
import proxy

def run(self):
    print(json.dumps([*sys.modules, *(["frozen"] if gc.get_freeze_count() > 10 * len(gc.get_objects()) else [])]))
    return 0

proxy.Supervisor.run = run
sys.exit(proxy.main([*sys.argv[1:], "--set", "server.workers=2"]))
"""


def loaded(script: str, folder: Path) -> set[str]:
    """The modules that are loaded at the script's moment."""
    (folder / "s.ini").write_text(f"{SETTINGS}[logging]\ndir = {folder / 'logs'}\n")
    done = subprocess.run(
        [sys.executable, "-c", script, "--config", folder / "s.ini"],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [said] = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return set(json.loads(said))


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return loaded(IDLE, tmp_path_factory.mktemp("idle"))


def test_an_idle_proxy_has_not_loaded_what_only_some_need(idle: set[str]) -> None:
    needless = {
        *("statistics", "unittest", "pydoc", "multiprocessing.pool", "urllib.request", "http.server"),
        *("prometheus_client", "shutil", "redis", "opentelemetry", "google.auth", "bpe_openai", "bench", "bundle"),
    }
    assert idle & {*proxy.LATER, *needless} == set()


def test_it_has_loaded_what_the_first_request_needs(idle: set[str]) -> None:
    assert {"gateway.flow.flow", "translate.pair", "upstream.exchange", "translate.messages.decode_request"} <= idle


def test_it_has_loaded_few_modules(idle: set[str]) -> None:
    own = {name for name in idle if name.partition(".")[0] in OWN}
    assert len(own) <= MOST_OWN and len(idle - own) <= MOST_OTHER, (len(own), len(idle - own))


def test_it_has_compiled_few_patterns(idle: set[str]) -> None:
    [said] = [name for name in idle if name.endswith(" patterns")]
    assert int(said.split()[0]) <= MOST_PATTERNS, said


def test_workers_share_all_of_it(tmp_path: Path) -> None:
    """What is loaded before they are forked is in memory once, as long as the collector of none of them looks at it."""
    assert {*proxy.LATER, "gateway.flow.flow", "frozen"} - loaded(FORKS, tmp_path) == set()


def late_imports() -> Iterator[tuple[str, set[str]]]:
    """(file and line, what it may mean) of each import within a function of what serves requests."""
    files = [ROOT / "proxy.py", *(path for house in OWN for path in sorted((ROOT / house).rglob("*.py")))]
    for path in files:
        place = str(path.relative_to(ROOT))
        if place.startswith(COMMANDS):
            continue
        tree = ast.parse(path.read_text())
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield f"{place}:{node.lineno}", {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    yield (
                        f"{place}:{node.lineno}",
                        {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)},
                    )


def test_all_that_is_loaded_later_is_known_to_the_start() -> None:
    """Another user may not read the program's files, and workers are to share it. Optional packages are another matter
    (operate/extras.py): who wants them, has loaded them at the start."""
    optional = {extra.module.partition(".")[0] for extra, _, _ in NEEDS} | {"compression"}
    assert [
        (place, names)
        for place, names in late_imports()
        if not names & {*proxy.LATER} and not any(name.partition(".")[0] in optional for name in names)
    ] == []
    assert len(list(late_imports())) > 10


def _dataclasses(path: Path) -> Iterator[tuple[str, str]]:
    """The dataclasses of a file, each with its source."""
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            made = [ast.unparse(each) for each in node.decorator_list]
            if any(each.startswith("dataclass") for each in made):
                yield node.name, "\n".join([*made, ast.unparse(node)])


def test_plain_data_are_structs() -> None:
    """To make a dataclass takes forty times as long, at each start."""
    files = [path for name in OWN for path in (ROOT / name).rglob("*.py")]
    plain = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name, source in _dataclasses(path)
        if not any(f"{what}=False" in source for what in ("eq", "compare", "init", "repr"))
    ]  # fmt: skip
    assert plain == []


def test_a_struct_has_no_field_of_a_dataclass() -> None:
    """Its default would be the Field itself."""
    found = [path.relative_to(ROOT) for name in OWN for path in (ROOT / name).rglob("*.py")
             if "from dataclasses import field\n" in path.read_text()]  # fmt: skip
    assert found == []
