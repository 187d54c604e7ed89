"""The ledger against the official SDKs, and against what the translators really do.

A field or block type that an SDK knows and the ledger does not fails here, and so does a row that no SDK has any more.
Each row is tried on a smallest request that says the thing: it must be mapped, carried, dropped (and reported) or
refused as the row says.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import sample
from tests.support.crossed import MODELS, crossed, say
from translate import dialects
from translate.failures.errors import BadRequest
from translate.fields import ledger
from translate.fields.ledger import LedgerRow
from translate.messages.ledger import LEDGER
from translate.target import Encoded, Protocol

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")
CROSSINGS = [(client, upstream) for client in PROTOCOLS for upstream in (*PROTOCOLS, "gemini") if client != upstream]
IN_THE_ADDRESS = "the address"  # what is said there is not in the body
NOISE = {"tools.parameters.additionalProperties"}  # Google's schemas cannot close an object
KNOWN = {protocol: sample.said(protocol) for protocol in PROTOCOLS}
LEAST = {
    ("messages", "chat"): 48,
    ("messages", "responses"): 50,
    ("chat", "messages"): 31,
    ("chat", "responses"): 39,
    ("responses", "messages"): 51,
    ("responses", "chat"): 48,
    ("messages", "gemini"): 48,
    ("chat", "gemini"): 34,
    ("responses", "gemini"): 48,
}
TRIALS = [(*crossing, name) for crossing in CROSSINGS for name in KNOWN[crossing[0]]]


@pytest.mark.parametrize(("client", "upstream"), CROSSINGS)
def test_every_thing_that_the_sdk_can_say_has_a_row_and_no_other(client: Protocol, upstream: Protocol) -> None:
    there = dialects.of(client).words.ledger.rows(upstream).keys()
    assert sorted(KNOWN[client].keys() - there) == [], "new in the SDK: say in ledger.py what becomes of it"
    assert sorted(there - KNOWN[client].keys()) == [], "not in the SDK any more"


def test_the_sdks_say_at_least_what_they_said_when_this_was_written() -> None:
    """Else the walk over their types has gone blind."""
    wanted = {"thinking", "block:redacted_thinking", "tool:web_search_20250305", "role:system"}
    assert wanted <= KNOWN["messages"].keys()
    assert {"seed", "block:file", "call:custom", "role:function"} <= KNOWN["chat"].keys()
    assert {"text", "item:reasoning", "tool:namespace", "block:input_file"} <= KNOWN["responses"].keys()
    assert all(len(KNOWN[protocol]) >= least for protocol, least in zip(PROTOCOLS, (85, 50, 88), strict=True))


@pytest.mark.parametrize(("client", "upstream", "name"), TRIALS)
def test_it_comes_as_the_row_says(client: Protocol, upstream: Protocol, name: str) -> None:
    row = dialects.of(client).words.ledger.rows(upstream)[name]
    said = say(client, name, KNOWN[client][name])
    before, after = crossed(client, upstream, said.before), crossed(client, upstream, said.after)
    assert isinstance(before, Encoded)
    if row.fate == "refused":
        assert isinstance(after, BadRequest) and row.note
        assert (name.partition(":")[2] or name) in after.message
        return
    assert isinstance(after, Encoded), after
    told = set(after.dropped) - set(before.dropped) - (NOISE if upstream == "gemini" else set())
    if row.fate == "dropped":
        assert told == {_reported(client, name)} and row.note
        if name != "block:redacted_thinking":  # reported as thinking
            assert dialects.of(client).words.ledger.why(upstream, _reported(client, name)) == row.note
        return
    assert told == set()
    if row.note.startswith(IN_THE_ADDRESS):
        assert after.body == before.body
    elif row.fate == "carried":
        assert after.body[name] == said.after[name] and not row.note
    elif name == "model":
        assert after.body["model"] == MODELS[upstream] != said.after["model"]
    else:
        _mapped(row, before.body, after.body)


def _mapped(row: LedgerRow, before: dict[str, Any], after: dict[str, Any]) -> None:
    """The note begins with the field of the upstream's body where it is: that one is not as it was."""
    field = row.note.split()[0].rstrip(",;")
    assert _at(after, field) is not None and _at(after, field) != _at(before, field), (field, after)


def _at(body: Any, path: str) -> Any:
    for key in path.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body


def _reported(client: Protocol, name: str) -> str:
    """As which a thing stands in x-proxy-dropped."""
    group, _, own = name.partition(":")
    if name == "safety_identifier":
        return "user"  # as which it is read
    if own in ("thinking", "redacted_thinking", "reasoning"):
        return {"messages": "messages.thinking", "responses": "input.reasoning"}[client]
    return f"tools.{own}" if group == "tool" else own or name


def test_a_reason_is_found_for_what_is_reported_and_for_nothing_else() -> None:
    assert "Anthropic runs it" in LEDGER.why("chat", "tools.web_search_20250305")
    assert LEDGER.why("chat", "temperature") == LEDGER.why("chat", "no such field") == ""
    assert "top_p narrows" in LEDGER.why("responses", "top_k")


@pytest.mark.parametrize("client", PROTOCOLS)
def test_reasons_are_fit_to_be_read(client: Protocol) -> None:
    """No name twice, no cell without its mark, and the README can set them in a table."""
    text = dialects.of(client).words.ledger.text.strip()
    names = [name for line in text.splitlines() for name in line.split("|")[0].split()]
    assert len(names) == len(set(names))
    for line in text.splitlines()[1:]:
        cells = [cell.strip() for cell in line.split("|")]
        assert 2 <= len(cells) <= 4 and cells[0] and cells[1], line
        assert all(cell[0] in ledger.FATES and (cell == "~" or cell[1] == " ") for cell in cells[1:] if cell), line


def test_the_share_that_crosses() -> None:
    """Of what can be said, how much arrives: printed by -rA, and not to sink unseen."""
    for client, upstream in CROSSINGS:
        fates = [row.fate for row in dialects.of(client).words.ledger.rows(upstream).values()]
        share = sum(fate in ("mapped", "carried") for fate in fates)
        print(f"{client} -> {upstream}: {share} of {len(fates)}")
        assert share >= LEAST[client, upstream]
