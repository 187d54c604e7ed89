"""The headers by which clients name their session: read here alone."""

from __future__ import annotations

from collections.abc import Mapping

MAX_NAME = 200  # characters

CLAUDE_CODE = "X-Claude-Code-Session-Id"
_NAMES = (CLAUDE_CODE, "X-Session-Id", "X-Session-Affinity", "Session-Id")


def session_in(headers: Mapping[str, str]) -> str:
    """What names the conversation, "" where no header does."""
    for name in _NAMES:
        if value := headers.get(name):
            return str(value)[:MAX_NAME]
    return ""


def session_of(headers: Mapping[str, str]) -> str:
    """The session of Claude Code, whole, "" where another client asks: what is made of it goes upstream."""
    return str(headers.get(CLAUDE_CODE, ""))


def agent_in(headers: Mapping[str, str]) -> str:
    """The sub-agent of Claude Code that asks, "" for none."""
    return str(headers.get("X-Claude-Code-Agent-Id", ""))[:MAX_NAME]
