"""Reads the headers with which clients name their session; no other file does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from operate.plain import of_header

MAX_NAME = 200  # the most characters of a name

CLAUDE_CODE = "X-Claude-Code-Session-Id"
_NAMES = (CLAUDE_CODE, "X-Session-Id", "X-Session-Affinity", "Session-Id")
_AGENT, _PARENT = "X-Claude-Code-Agent-Id", "X-Claude-Code-Parent-Agent-Id"
_ANY = frozenset((*_NAMES, _AGENT))


class Session(NamedTuple):
    """The session. name: names the conversation. claude_code: the session of Claude Code, unshortened, because what is
    made of it goes upstream. agent: the sub-agent of Claude Code that asks. parent_agent: the agent that has called it.
    Each is "" if no header says it."""

    name: str = ""
    claude_code: str = ""
    agent: str = ""
    parent_agent: str = ""


NONE = Session()


def read(headers: Mapping[str, str]) -> Session:
    if _ANY.isdisjoint(headers):  # one pass over the names that there are, instead of five look-ups
        return NONE
    name = next(filter(None, (headers.get(name) for name in _NAMES)), "")
    claude_code, agent, parent = (str(headers.get(name, "")) for name in (CLAUDE_CODE, _AGENT, _PARENT))
    if not (name.isascii() and agent.isascii() and parent.isascii()):
        name, agent, parent = map(of_header, (name, agent, parent))
    return Session(str(name)[:MAX_NAME], claude_code, agent[:MAX_NAME], parent[:MAX_NAME])
