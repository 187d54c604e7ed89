"""Asks for the usage of a Chat stream if the client does not, and takes it out of the reply again.

Upstreams tell the usage of a stream only to clients that ask (stream_options.include_usage), in a chunk of its own that
has no choices; all other chunks get `"usage": null`. Without it nobody knows what the stream cost. The client sees
neither: its other bytes are the upstream's. A client that says stream_options itself gets what it asked for.
"""

from __future__ import annotations

import re

from operate.search import has_any
from translate.json import wire

_WISH = b'"stream_options":{"include_usage":true}'
_NAME = b'"usage"'
_USUAL_NULL = b',"usage":null'  # as OpenAI's servers have it in each chunk
_NULL = re.compile(rb'"usage"\s*:\s*null\s*,\s*|,\s*"usage"\s*:\s*null')  # in a text the quotes would be escaped
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')


def wished(body: bytes) -> bytes | None:
    """Returns the request's body with the wish for usage; None if it already says something about that, or is no
    object."""
    at = body.find(b"{") + 1
    if not at or body.rfind(b'"stream_options"') >= 0:
        return None
    comma = b"" if body[at:].lstrip()[:1] == b"}" else b","
    return body[:at] + _WISH + comma + body[at:]


class UsageChunk:
    """Takes the usage that the client has not asked for out of whole lines of a stream."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = False  # the blank line after the removed chunk is still to come

    def __repr__(self) -> str:
        return "<UsageChunk>"

    def without(self, lines: bytes) -> bytes:
        if not self._ends:
            if not has_any(lines, (_NAME,)):
                return lines
            if not has_any(lines := lines.replace(_USUAL_NULL, b""), (_NAME,)):
                return lines
        out = []
        for line in lines.splitlines(keepends=True):
            if self._ends:
                self._ends = False
                if not line.strip():
                    continue
            if _NAME in line and line.startswith(b"data:"):
                if _is_usage_alone(line):
                    self._ends = True
                    continue
                line = _NULL.sub(b"", line)
            out.append(line)
        return b"".join(out)


def _is_usage_alone(line: bytes) -> bool:
    if not _NO_CHOICES.search(line):
        return False
    try:
        chunk = wire.loads(line[5:])
    except ValueError:
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)
