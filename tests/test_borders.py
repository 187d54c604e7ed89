"""Holds the borders of the house: who may import whom, and what no file may contain.

The project is read as text (`ast`), nothing is imported. Imports run downward only: proxy -> console -> gateway ->
{translate, upstream, operate}, and demo beside gateway; the three on the ground do not know each other; translate is
pure, so it has the standard library less what does I/O, reads a clock or throws dice, and ujson. An import that only
a type checker sees counts like any other. Each rule is a function from a tree to complaints ("path:line: what"), and
is also tried on a made-up tree that breaks it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BELOW = {
    "proxy": {"console", "demo", "gateway", "translate", "upstream", "operate"},
    "console": {"demo", "gateway", "translate", "upstream", "operate"},
    "demo": {"translate", "upstream", "operate"},
    "gateway": {"translate", "upstream", "operate"},
    "translate": set(),
    "upstream": set(),
    "operate": {"translate.dialects"},  # which protocols there are
}
# Used where they are installed, never needed.
OPTIONAL = {"uvloop"}
LATER = {"compression"}  # of the standard library, from 3.14 on

IMPURE = {
    *("asyncio", "asyncore", "concurrent", "contextvars", "ctypes", "datetime", "ftplib", "getpass", "glob"),
    *("http", "imaplib", "locale", "logging", "multiprocessing", "mmap", "os", "pathlib", "platform"),
    *("poplib", "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket"),
    *("socketserver", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "uuid", "zoneinfo"),
    *("urllib.request", "warnings", "webbrowser"),
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}

TEXT = {".py", ".sh", ".md", ".ini", ".toml", ".txt", ".json", ".yml", ".yaml", ".cfg", ".sse", ".html", ""}
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b")
MACHINE = re.compile(
    r"/wor[k]/(?:main|shared)\b|/roo[t]/|/tmp/[v]\b|/opt/(?:pyp[i]|wheel[s])"
    r"|/(?:home|Users)/(?!user/|you/|alice/)\w+/|pypi\.or[g]|pythonhosted\.or[g]"
)


# --- reading the tree ---------------------------------------------------------------------------------


def code_files(root: Path) -> Iterator[tuple[str, Path]]:
    """(house, file) of every .py file of the program: house is "proxy" or the name of a package."""
    if (root / "proxy.py").exists():
        yield "proxy", root / "proxy.py"
    for house in BELOW:
        for path in sorted((root / house).rglob("*.py")):
            yield house, path


def text_files(root: Path) -> list[Path]:
    """Every text file that is, or would be, in version control; without git every one that is not hidden."""
    ask = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(ask, capture_output=True, check=True).stdout.decode().split("\0")
        paths = [root / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        parts = {path: path.relative_to(root).parts for path in root.rglob("*")}
        paths = [path for path, names in parts.items() if not any(n[0] == "." or n == "logs" for n in names)]
    return sorted(path for path in paths if path.is_file() and path.suffix in TEXT)


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all that a file imports, wherever it stands; relative names made absolute."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join((*base, *(node.module or "").split("."))).strip(".")
            # "from urllib import request" reaches urllib.request, and "from .. import gateway" gateway.
            yield from ((node.lineno, f"{origin}.{alias.name}".strip(".")) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            if called in {"__import__", "import_module", "importlib.import_module"}:
                yield node.lineno, str(node.args[0].value)


def within(name: str, modules: set[str]) -> bool:
    """Whether a dotted name is, or lies below, one of the modules."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


# --- the rules ----------------------------------------------------------------------------------------


def wrong_directions(root: Path) -> list[str]:
    """Imports of another house that is not below."""
    return [
        f"{path.relative_to(root)}:{line}: {house} imports {name}"
        for house, path in code_files(root)
        for line, name in imports(path, root)
        if within(name, BELOW.keys() | {"tests"} - {house}) and not within(name, BELOW[house] | {house})
    ]


def strangers(root: Path) -> list[str]:
    """Imports of packages that requirements.txt does not name; in translate, of any but ujson."""
    pins = re.findall(r"^([\w.-]+)==", (root / "requirements.txt").read_text(), re.MULTILINE)
    needs = {pin.lower().replace("-", mark) for pin in pins for mark in "_."}  # backports-zstd is backports.zstd
    return [
        f"{path.relative_to(root)}:{line}: {name} is not among what {house} may use"
        for house, path in code_files(root)
        for line, name in imports(path, root)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not within(name, BELOW.keys() | ({"ujson"} if house == "translate" else needs | OPTIONAL | LATER))
    ]


def impurities(root: Path) -> list[str]:
    """What in translate could do I/O, read a clock or throw dice."""
    found = []
    for house, path in code_files(root):
        if house != "translate":
            continue
        place = path.relative_to(root)
        found += [f"{place}:{line}: imports {n}" for line, n in imports(path, root) if within(n, IMPURE)]
        found += [
            f"{place}:{node.lineno}: calls {node.func.id}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
        ]
    return found


def swallowed(root: Path) -> list[str]:
    """Handlers that take every exception and do nothing."""
    found = []
    for _, path in code_files(root):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler):
                continue
            takes_all = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            if takes_all and all(_does_nothing(step) for step in node.body):
                found.append(f"{path.relative_to(root)}:{node.lineno}: an exception is swallowed")
    return found


def _does_nothing(step: ast.stmt) -> bool:
    is_constant = isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)
    return is_constant or isinstance(step, ast.Pass | ast.Continue)


def marks(root: Path, pattern: re.Pattern[str]) -> list[str]:
    """Lines of text files that hold the pattern."""
    return [
        f"{path.relative_to(root)}:{number}: {hit.group()}"
        for path in text_files(root)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (hit := pattern.search(line))
    ]


# --- held on the project ------------------------------------------------------------------------------


def test_imports_run_downward_only():
    assert wrong_directions(ROOT) == []


def test_only_what_requirements_name_is_imported():
    assert strangers(ROOT) == []


def test_translate_is_pure():
    assert impurities(ROOT) == []


def test_no_exception_is_swallowed():
    assert swallowed(ROOT) == []


def test_nothing_is_left_unfinished():
    assert marks(ROOT, UNFINISHED) == []


def test_no_file_knows_the_machine_it_was_written_on():
    assert marks(ROOT, MACHINE) == []


# --- and the rules themselves, on trees that break them -----------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small tree that keeps all rules."""
    files = {
        "requirements.txt": "tornado==1 --hash=sha256:0\npycurl==1\nujson==1\n",
        "proxy.py": "import asyncio\nfrom gateway import relay\nimport upstream.client\nimport tornado.web\n",
        "gateway/flow/relay.py": "import translate.sse\nfrom upstream import client\nfrom . import access\n",
        "gateway/http/auth.py": "from operate.settings import Settings\n",
        "translate/__init__.py": "",
        "translate/sse.py": "import re\nimport ujson\nfrom urllib.parse import urlsplit\n",
        "translate/chat/reply.py": "from ..sse import feed\nfrom translate import conversation\n",
        "upstream/client.py": "import socket\nimport pycurl\ntry:\n    x()\nexcept KeyError:\n    pass\n",
        "operate/settings/load.py": "import os\nfrom .inifile import read\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_tree_that_keeps_the_rules_has_no_complaints(house):
    assert wrong_directions(house) == strangers(house) == impurities(house) == swallowed(house) == []
    assert marks(house, UNFINISHED) == marks(house, MACHINE) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gateway/flow/relay.py", "import proxy"),
        ("translate/sse.py", "from gateway import relay"),
        ("translate/sse.py", "from operate.settings import Settings"),
        ("translate/chat/reply.py", "from ...upstream import client"),
        ("upstream/client.py", "def f():\n    import translate.sse"),
        ("upstream/client.py", "if TYPE_CHECKING:\n    from gateway import relay"),
        ("upstream/client.py", "from operate import logs"),
        ("operate/settings/load.py", "from translate import sse"),
        ("operate/settings/load.py", "import importlib\nimportlib.import_module('gateway.relay')"),
        ("operate/settings/load.py", "from ... import gateway"),
        ("proxy.py", "from tests.conftest import ROOT"),
    ],
)
def test_an_import_in_a_wrong_direction_is_seen(house, name, text):
    (house / name).write_text(text)
    assert len(wrong_directions(house)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("proxy.py", "import httpx"),
        ("gateway/flow/relay.py", "from yaml import load"),
        ("translate/sse.py", "import tornado"),
        ("translate/sse.py", "import pycurl"),
    ],
)
def test_a_package_that_is_not_required_is_seen(house, name, text):
    (house / name).write_text(text)
    assert len(strangers(house)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from time import monotonic",
        "import os.path",
        "from urllib import request",
        "def f():\n    import random",
        "import logging",
        "from asyncio import Queue",
        "def f():\n    return open('x')",
        "print('x')",
    ],
)
def test_impurity_in_translate_is_seen(house, text):
    (house / "translate/chat/reply.py").write_text(text)
    assert len(impurities(house)) == 1


@pytest.mark.parametrize(
    "handler", ["except:\n    pass", "except Exception:\n    ...", "except BaseException as e:\n    pass"]
)
def test_a_swallowed_exception_is_seen(house, handler):
    (house / "gateway/flow/relay.py").write_text(f"try:\n    x()\n{handler}\n")
    assert len(swallowed(house)) == 1


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UNFINISHED, "# TO-DO: later"),
        (UNFINISHED, "# FIX-ME"),
        (MACHINE, "see /wo-rk/shared/x"),
        (MACHINE, "/ro-ot/.cache"),
        (MACHINE, "/home-/somebody/x"),
        (MACHINE, "https://files.python-hosted.org/x"),
    ],
)
def test_a_mark_in_any_text_file_is_seen(house, pattern, text):
    text = text.replace("-", "")  # written with a hyphen, or this file would hold the mark
    (house / "notes.md").write_text(f"fine\n{text}\n")
    assert marks(house, pattern) == [f"notes.md:2: {pattern.search(text).group()}"]
