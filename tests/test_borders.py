"""Holds the borders of the house (support/borders.py) on the project, and tries each rule on a tree that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.borders import (
    MACHINE,
    ROOT,
    UNFINISHED,
    by_name,
    circles,
    hidden,
    impurities,
    marks,
    strangers,
    swallowed,
    unexplained,
    wrong_directions,
)
from translate import dialects


def test_imports_run_downward_only():
    assert wrong_directions(ROOT) == []


def test_no_two_files_import_each_other():
    assert circles(ROOT) == []


def test_no_import_is_hidden():
    assert hidden(ROOT) == []


def test_what_the_type_checker_is_told_to_ignore_has_its_reason():
    assert unexplained(ROOT) == []


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


def test_protocols_are_told_apart_by_their_dialects_alone():
    assert by_name(ROOT, frozenset(dialects.names())) == []


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
    "files",
    [
        {"translate/sse.py": "from translate import a", "translate/a.py": "import translate.sse"},
        {
            "translate/a.py": "from . import b",
            "translate/b.py": "from .c import d",
            "translate/c.py": "from .a import e",
        },
        {"translate/a.py": "if TYPE_CHECKING:\n    import translate.b", "translate/b.py": "from translate import a"},
        {"translate/a.py": "def f():\n    import translate.b", "translate/b.py": "from translate.a import f"},
        {"translate/__init__.py": "from translate.a import x", "translate/a.py": "import translate"},
    ],
)
def test_files_that_import_each_other_are_seen(house, files):
    assert circles(house) == []
    for name, text in files.items():
        (house / name).write_text(text)
    [found] = circles(house)
    assert len(found.splitlines()) == len(files) and all(f"{name}:" in found for name in files)


def test_a_hidden_import_is_seen(house):
    assert hidden(house) == []
    (house / "translate/a.py").write_text("if TYPE_CHECKING:\n    from translate.sse import feed\n")
    assert hidden(house) == ["translate/a.py:1: TYPE_CHECKING"]


@pytest.mark.parametrize("mark", ["# type: ignore", "# type: ignore[arg-type]", "# type: ignore[arg-type]  #"])
def test_an_ignored_type_without_a_reason_is_seen(house, mark):
    (house / "translate/sse.py").write_text(f"x = y  {mark}\nz = y  # type: ignore[arg-type]  # of a caller's\n")
    assert len(unexplained(house)) == 1


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


@pytest.mark.parametrize(
    "text",
    [
        "PATHS = {'messages': 1, 'chat': 2}",
        "ASKS = {('chat', ''): 1}",
        "def f(p):\n    return p == 'chat'",
        "def f(p):\n    return 'chat' != p",
        "def f(p):\n    return p in ('chat', 'responses')",
        "def f(p):\n    return 'chat' in p",
        "def f(p):\n    match p:\n        case 'responses':\n            return 1",
        "EXT = {'messages': {}}",
    ],
)
def test_a_protocol_that_is_told_apart_by_its_name_is_seen(house, text):
    names = frozenset({"messages", "chat", "responses"})
    (house / "translate/chat/reply.py").write_text(text)
    assert by_name(house, names) == []
    (house / "translate/sse.py").write_text(text)
    assert len(by_name(house, names)) == 1
    (house / "translate/sse.py").write_text("body = {'messages': [1], 'model': 'chat'}\nlist = body.get('messages')")
    assert by_name(house, names) == []
