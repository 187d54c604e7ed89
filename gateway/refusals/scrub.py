"""What an error says, for the log: without what it quotes of the request.

Upstreams often quote what they refuse ("input_value='...'"). In a log without bodies, there must be no text of users.
So whatever is both in the words of an error and in the texts of the request is left out. Names (of models, fields,
tools) stay, because without them nobody could tell what was wrong. Only errors cost this time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gateway.refusals import known_phrases
from translate.failures.errors import ApiError, BadReply
from translate.json import wire

AS_SENT = "[as sent]"
MAX_SAID = 2000  # characters of an error that a log gets
SHORTEST = 6  # characters: a shorter text may be quoted
STRETCH = 20  # characters in a row that are taken for a quotation
GRAM = 12  # characters that are looked up at once
MOST_LOOKED = 1 << 18
MAX_TEXT = 1 << 18  # characters of a request that are compared
MAX_PARSED = 1 << 20  # bytes: a larger request is not parsed, but its two ends are compared as they are
MAX_VALUES = 30_000  # values: the same holds for a request with more

_REPLY = re.compile(r"it begins: |non-JSON body: |with an HTML page: |no JSON object: |with an error: |fields are: "
                    r"|its status is |an error in it: ")  # fmt: skip

# The values of these fields are names, and help to find the fault.
_NAMES = frozenset((
    "model", "type", "role", "name", "id", "call_id", "tool_call_id", "tool_use_id", "status", "phase", "format",
    "media_type", "tools", "tool_choice", "effort", "reasoning_effort", "service_tier", "include", "stop_reason",
    "finish_reason", "previous_response_id", "response_format", "detail", "truncation", "modalities", "betas",
))  # fmt: skip


def logged(error: ApiError, body: bytes) -> str:
    """Returns the error's words for the log. body: of the request; b"" once nobody holds it any more, as in the middle
    of a stream. Of an upstream's own words, only known harmless ones stay (known_phrases.py). Of a reply that could not
    be read, nothing stays."""
    said = error.message[:MAX_SAID]
    if error.theirs:
        return known_phrases.of(said)
    if isinstance(error, BadReply) and (quote := _REPLY.search(said)):
        said = f"{said[: quote.end()]}[...]"
    return without(said, body) if body else said


def without(said: str, body: bytes) -> str:
    """Returns `said` without what it has from the texts of `body`."""
    texts = _texts(body)
    for text in sorted({text for text in texts if SHORTEST <= len(text) <= len(said)}, key=len, reverse=True):
        if text in said:
            said = said.replace(text, AS_SENT)
    if len(said) < STRETCH:
        return said
    return _blanked(said, "\0".join(texts)[:MAX_TEXT])


def _blanked(said: str, everything: str) -> str:
    """Puts one mark for each stretch of `said` that is in `everything`. Each place of `everything` is looked at
    once."""
    places: dict[str, list[int]] = {}
    for at in range(len(said) - GRAM + 1):
        places.setdefault(said[at : at + GRAM], []).append(at)
    sent = bytearray(len(said))
    looked = 0
    for there in range(0, len(everything) - GRAM + 1, STRETCH - GRAM):
        heres = places.get(gram := everything[there : there + GRAM])
        if not heres:
            continue
        for here in heres:
            if sent[here]:
                continue
            start, end = _stretch(said, here, everything, there)
            looked += end - start
            if looked > MOST_LOOKED:
                return AS_SENT  # the texts were made to cost time
            if end - start >= STRETCH:
                sent[start:end] = b"\1" * (end - start)
        places[gram] = [here for here in heres if not sent[here]]
    return _marked(said, sent)


def _stretch(said: str, here: int, everything: str, there: int) -> tuple[int, int]:
    """Returns where, in `said`, the common text around this place begins and ends."""
    end, beyond = here + GRAM, there + GRAM
    while end < len(said) and beyond < len(everything) and said[end] == everything[beyond]:
        end, beyond = end + 1, beyond + 1
    while here and there and said[here - 1] == everything[there - 1]:
        here, there = here - 1, there - 1
    return here, end


def _marked(said: str, sent: bytearray) -> str:
    out: list[str] = []
    at = 0
    while at < len(said):
        end = sent.find(b"\0" if sent[at] else b"\1", at)
        end = len(said) if end < 0 else end
        out.append(AS_SENT if sent[at] else said[at:end])
        at = end
    return "".join(out)


def _texts(body: bytes) -> list[str]:
    if len(body) > MAX_PARSED or body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        ends = body[: MAX_TEXT // 2], body[-MAX_TEXT // 2 :]
        return [end.decode("utf-8", "replace") for end in ends]
    try:
        return [text for text in _strings(wire.loads(body)) if len(text) >= SHORTEST]
    except (ValueError, RecursionError):
        return [body.decode("utf-8", "replace")]


def _strings(value: Any) -> Iterator[str]:
    """Yields every text that is no name. A text that is JSON, such as the arguments of a tool call, is one text."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += [part for name, part in one.items() if name not in _NAMES]


def line(error: ApiError, body: bytes) -> str:
    """Returns the same in one short line."""
    return "".join(c if c.isprintable() else "?" for c in logged(error, body)[:300])
