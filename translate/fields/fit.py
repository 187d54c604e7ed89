"""Fits a crossing request to its upstream's field policy: servers call themselves compatible, and differ.

`conversation` works before the request is encoded (images that a model cannot see become a note), `body` after it
(fields that the server refuses are left out, others renamed). Both say what was left out. A request whose upstream has
no such habits goes through neither. JSON schemas are fitted in schemas/.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from translate.conversation import Conversation, Document, Image, Part, Text, ToolResult, Turn
from translate.fields.ledger import LedgerRow, Table
from translate.json.json_fields import object_of, objects_of
from translate.target import Encoded, Policy, Protocol

STRICT, PHASE = LISTED = "tools.strict", "input.phase"
"""Members of tools and of input items that may be left out: a server may refuse the word, and the rest is the same
without it."""
LIKELY, ENCRYPTED = INCLUDED = "include.message.output_text.logprobs", "include.reasoning.encrypted_content"
"""Words of a list that may be left out of it: a model may refuse one, and needs the others."""
_ASKED_AS = {
    LIKELY: ("logprobs", LIKELY), "logprobs": ("logprobs", LIKELY), "top_logprobs": ("top_logprobs",),
    ENCRYPTED: (ENCRYPTED,),
}  # fmt: skip
"""In the two protocols of OpenAI, what asks for these. Their ledgers have them as left out, as they are for OpenAI's
own models that reason."""

NO_IMAGES = "[an image was here; this model cannot see images]"


def conversation(given: Conversation, policy: Policy) -> tuple[Conversation, list[str]]:
    """Returns the conversation as the upstream can take it, and what was left out, in the client's words. `given` is
    not changed."""
    left: list[str] = []
    if not policy.images:
        system = _blind(given.system)
        turns = [_blind_turn(turn) for turn in given.turns]
        if system is not given.system or any(new is not old for new, old in zip(turns, given.turns, strict=True)):
            left.append(given.words.image)
        given = replace(given, system=system, turns=turns)
    return given, left


def _blind_turn(turn: Turn) -> Turn:
    parts = _blind(turn.parts)
    return turn if parts is turn.parts else replace(turn, parts=parts)


def _blind(parts: list[Part]) -> list[Part]:
    """Returns the parts with a note for each image; the same list where there is none."""
    out = [_blind_part(part) for part in parts]
    return out if any(new is not old for new, old in zip(out, parts, strict=True)) else parts


def _blind_part(part: Part) -> Part:
    if isinstance(part, Image):
        return Text(NO_IMAGES)
    if isinstance(part, ToolResult | Document):
        inner = _blind(part.parts)
        return part if inner is part.parts else replace(part, parts=inner)
    return part


def body(
    encoded: Encoded,
    known: Table,
    upstream: Protocol,
    asked: dict[str, Any],
    drop: Iterable[str],
    rename: Iterable[tuple[str, str]],
) -> None:
    """Leaves out and renames fields of encoded.body; a field within a field is "reasoning.summary". known: the ledger
    of the client's protocol. asked: its body, whose words the report uses."""
    for field in drop:
        if _left_out(encoded.body, field):
            for word in _reported(known, upstream, field, asked):
                if word not in encoded.dropped:
                    encoded.dropped.append(word)
    for field, sent in rename:
        if field in encoded.body:
            encoded.body[sent] = encoded.body.pop(field)


def _reported(known: Table, upstream: Protocol, field: str, asked: dict[str, Any]) -> list[str]:
    if field == STRICT:
        return [STRICT]
    if field in _ASKED_AS:
        return [path.partition(".")[0] for path in _ASKED_AS[field] if is_in(asked, path)]
    return client_words(known, upstream, field, asked)


def _left_out(body: dict[str, Any], path: str) -> bool:
    """Takes a field out, and tells whether it was there. The section of a nested field may be the client's own, so it
    is made anew."""
    if path in LISTED:
        return _left_out_of_all(body, path)
    field, dot, key = path.partition(".")
    if not dot:
        return body.pop(field, body) is not body
    if not is_in(body, path):
        return False
    section = body[field]
    if isinstance(section, list):
        body[field] = [word for word in section if word != key]
    else:
        body[field] = {name: value for name, value in section.items() if name != key}
    if not body[field]:
        del body[field]
    return True


def is_in(body: dict[str, Any], path: str) -> bool:
    """Tells whether the request has the field, or says what a path of LISTED or INCLUDED names."""
    if path in LISTED:
        return _is_listed(body, path)
    section, dot, key = path.partition(".")
    if not dot:
        return path in body
    inner = body.get(section)
    return isinstance(inner, list if path in INCLUDED else dict) and key in inner


def _is_listed(body: dict[str, Any], path: str) -> bool:
    """Tells whether the request says what `path`, one of LISTED, names."""
    field, _, key = path.partition(".")
    return any(key in each for item in objects_of(body, field) for each in (item, object_of(item, "function")))


def _left_out_of_all(body: dict[str, Any], path: str) -> bool:
    """Takes that out. Tools and items may be remembered, so they are made anew."""
    if not _is_listed(body, path):
        return False
    field, _, key = path.partition(".")
    body[field] = [_without(item, key) for item in body[field]]
    return True


def _without(item: Any, key: str) -> Any:
    if not isinstance(item, dict):
        return item
    return {name: _without(value, key) if name == "function" else value for name, value in item.items() if name != key}


def client_words(known: Table, upstream: Protocol, field: str, asked: dict[str, Any]) -> list[str]:
    """Returns the fields of the client's request that became the upstream's `field`: none for one that the proxy
    added."""
    rows = known.rows(upstream)
    found = [
        name
        for name, row in rows.items()
        if name not in _ALWAYS and row.fate in _CROSS and field in _sent(name, row) and _is_asked(asked, name)
    ]
    own = [name for name in found if _snake(name.rpartition(".")[2]) == field]  # some rows are those of several fields
    mine = field not in _ALWAYS and (field not in rows or rows[field].fate in _CROSS)
    if not found and field in asked and mine:
        found.append(field)
    return own or found


_CROSS = ("mapped", "carried")
_ALWAYS = ("model", "stream")  # what belongs to them upstream, the proxy has added


def _sent(name: str, row: LedgerRow) -> frozenset[str]:
    return _fields(name if row.fate == "carried" else row.note)


@functools.lru_cache(maxsize=1024)
def _fields(note: str) -> frozenset[str]:
    """Returns the fields that a row of a ledger names, and the sections that they are in: the first word of each
    clause, and what is spelled as no word of prose is."""
    found = set()
    for clause in re.split(r"[,;]\s", note):
        first, *others = clause.split() or [""]
        found |= {first.rstrip(",;"), *filter(_SPELLED.search, (word.rstrip(",;") for word in others))}
    return frozenset(found | {word.partition(".")[0] for word in found})


_SPELLED = re.compile(r"\w_\w|\w\.\w|[a-z][A-Z]")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: "_" + found[1].lower(), name)


def _is_asked(asked: dict[str, Any], path: str) -> bool:
    """Returns whether the client has sent the field, in either of Google's two spellings."""
    section, dot, rest = path.partition(".")
    given = asked.get(section, asked.get(_snake(section), _NOT_THERE))
    if not dot or given is _NOT_THERE:
        return given is not _NOT_THERE
    return isinstance(given, dict) and _is_asked(given, rest)


_NOT_THERE = object()
