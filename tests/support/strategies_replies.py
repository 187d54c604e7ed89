"""Replies as neutral events, over all that each protocol's streams and whole bodies can say.

`replies(protocol)` draws a Start, parts and a Stop. `said(events)` is their normal form, in which a reply must come
back: deltas joined, pings and the ids of the reply left out; a call without arguments has {}; a signature counts
wherever it stands, and of an item its cipher; of usage the counters count; half a character is U+FFFD; leftovers that
a protocol notes for its own use (ids, where a thought came from) do not. Chat has one run of text at a time, so that
neighbours of a kind are one there (`joined`).
Not drawn: thoughts of which some are signed and some are not, since
Chat's details then leave the others out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.support.strategies import IDS, NAMES, OBJECTS, WORDS
from translate.chat import citations as chat_citations
from translate.conversation import (
    Citation,
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Ping,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.json import wire
from translate.messages import citations as messages_citations
from translate.reasoning import sealed_reasoning
from translate.repair import as_object
from translate.responses import citations as responses_citations

_PIECES = st.lists(WORDS, min_size=1, max_size=4)
_OBJECT_TEXTS = OBJECTS.map(wire.dumps_text)
_COUNT = st.integers(1, 10**6)
_CUT = '{"a": "cut o'

# A counter of 0 says nothing, and Messages alone tells how long a cache entry lives.
_USAGE = st.builds(Usage, input=_COUNT, cache_read=_COUNT, cache_write=_COUNT, output=_COUNT, reasoning=_COUNT)


_READ_CITATION: dict[str, Callable[[Any], Citation]] = {
    "messages": messages_citations.read, "chat": chat_citations.read, "responses": responses_citations.read,
}  # fmt: skip


def _notes(protocol: str) -> st.SearchStrategy[Close]:
    """What a text cites, in the protocol's own words."""
    read = _READ_CITATION[protocol]
    return st.lists(OBJECTS, max_size=2).map(lambda notes: Close(citations=list(map(read, notes))))


def _part(part: Any, texts: Any, close: Any) -> st.SearchStrategy[list[Event]]:
    """pieces: each text becomes one delta, or all of them one."""

    def told(part: Any, texts: list[str], close: Close, together: bool) -> list[Event]:
        pieces = [wire.inside(text) for text in texts]
        deltas = [Delta(pieces)] if together and pieces else [Delta([piece]) for piece in pieces]
        return [Open(part), *deltas, close]

    return st.builds(told, part, texts, close, st.booleans())


def _cut_up(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """A text in two pieces, neither of them empty unless the text is."""
    return st.builds(lambda text, at: [s for s in (text[: at % (len(text) + 1)], text[at % (len(text) + 1) :]) if s],
                     texts, st.integers(0, 40))  # fmt: skip


@st.composite
def _one(draw: st.DrawFn, protocol: str, signed: bool, ids: list[str]) -> list[Event]:
    kinds = ["text", "text", "thinking", "call", "encrypted"]
    kinds += ["unknown"] if protocol != "chat" else []
    kinds += ["refusal", "custom"] if protocol != "messages" else []
    kind = draw(st.sampled_from(kinds))
    ids.append(id := f"call_{len(ids)}")
    space = draw(NAMES) if protocol == "responses" and draw(st.booleans()) else ""
    match kind:
        case "text":
            part, texts, close = st.builds(Text, st.just("")), _PIECES, _notes(protocol)
        case "refusal":
            part, texts, close = st.builds(Refusal), _PIECES, st.builds(Close)
        case "thinking":
            part, texts = st.builds(Thinking), _PIECES
            close = st.builds(Close, _proofs(protocol) if signed else st.just(""))
        case "encrypted":
            part, texts, close = st.builds(Thinking, encrypted=_proofs(protocol)), st.just([]), st.builds(Close)
        case "call":
            part, texts = st.builds(ToolCall, st.just(id), NAMES, namespace=st.just(space)), _cut_up(_OBJECT_TEXTS)
            close = st.builds(Close)
        case "custom":
            part = st.builds(ToolCall, st.just(id), NAMES, custom=st.just(True), namespace=st.just(space))
            texts, close = _PIECES, st.builds(Close)
        case _:
            raw = st.builds(_server_tool, st.just(protocol), OBJECTS, OBJECTS, st.just(id))
            part, texts, close = st.builds(Unknown, st.just(protocol), raw), st.just([]), st.builds(Close)
    events: list[Event] = draw(_part(part, texts, close))
    return events


def _proofs(protocol: str) -> st.SearchStrategy[str]:
    """What a provider of the protocol has signed; the proof of a Responses provider is an item."""
    return IDS.map(lambda cipher: sealed_reasoning.of_item("", cipher)) if protocol == "responses" else IDS


def _proof(proof: str) -> str:
    return sealed_reasoning.item_in(proof).get("encrypted_content", "") or proof


def _server_tool(protocol: str, given: Any, more: Any, id: str) -> dict[str, Any]:
    if protocol == "messages":
        return more | {"type": "server_tool_use", "id": id, "name": "web_search", "input": given}
    return more | {"type": "web_search_call", "id": id, "action": given}


@st.composite
def replies(draw: st.DrawFn, protocol: str) -> list[Event]:
    """A whole reply in the order that every decoder promises."""
    signed, ids = draw(st.booleans()), list[str]()
    parts = draw(st.lists(st.deferred(lambda: _one(protocol, signed, ids)), max_size=5))
    kinds = {type(events[0].part) for events in parts}  # type: ignore[union-attr]
    reasons = ["length"]
    if ToolCall in kinds:
        reasons.append("tool_calls")
    else:
        reasons += ["refusal"] if Refusal in kinds or protocol != "messages" else ["end", "refusal"]
        reasons += ["end"] if Refusal not in kinds else []
        reasons += ["pause", "context_overflow", "compaction", "stop_sequence"] if protocol == "messages" else []
    reason = draw(st.sampled_from(reasons))
    ends_in_call = bool(parts) and isinstance(parts[-1][0].part, ToolCall)  # type: ignore[union-attr]
    if reason == "length" and (ends_in_call or draw(st.booleans())):  # a call without arguments would not be told
        parts.append([Open(ToolCall("call_last", "f")), Delta([wire.inside(_CUT)]), Close()])
    told: list[Event] = [Start("id", "m")]
    for events in parts:
        told += [Ping()] if draw(st.booleans()) else []
        told += events
    usage: Usage = draw(_USAGE)
    if protocol == "messages":
        usage.cache_write_1h = draw(st.integers(0, usage.cache_write))
    by_filter = protocol == "responses" and reason == "refusal" and Refusal not in kinds
    ext = {"responses": {"incomplete": "content_filter"}} if by_filter else {}
    stop = Stop(reason, usage, draw(WORDS) if reason == "stop_sequence" else "", ext)  # type: ignore[arg-type]
    return [*told, stop]


# --------------------------------------------------------------------------------------------- normal form


def said(events: list[Event], protocol: str) -> list[Any]:
    out: list[Any] = []
    pieces: list[bytes] = []
    part: Any = None
    for event in events:
        match event:
            case Open():
                part, pieces = event.part, []
            case Delta():
                assert event.pieces and all(event.pieces), "an empty delta"
                pieces += event.pieces
            case Close():
                out.append(_said_of(part, wire.text_of(pieces), event, protocol))
            case Stop():
                out.append(("stop", event.reason, _counters(event.usage), event.sequence))
            case Fault():
                out.append(("fault", str(event.error)))
            case Start() | Ping():
                pass
    mended = wire.loads(wire.dumps(out))  # half a character is U+FFFD
    return joined(mended) if protocol == "chat" else mended


def _said_of(part: Any, text: str, close: Close, protocol: str) -> list[Any]:
    match part:
        case Text() | Refusal():
            notes = [{k: v for k, v in cited.raw.items() if k != "index"} for cited in close.citations]
            return [type(part).__name__, text, notes]
        case Thinking():
            return ["Thinking", text, _proof(close.signature or part.signature), _proof(part.encrypted)]
        case ToolCall():
            arguments = text if part.custom else text or "{}"
            if protocol == "messages":  # whole bodies hold the object; of what is none, the words
                arguments = wire.dumps_text(as_object(arguments))
            return ["ToolCall", part.id, part.name, part.namespace, part.custom, arguments]
    return ["Unknown", part.raw]


def _counters(usage: Usage | None) -> Any:
    if usage is None:
        return None
    return usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output, usage.reasoning


def joined(told: list[Any]) -> list[Any]:
    """Neighbours of a kind as one: texts, refusals, and thoughts without a proof."""
    out: list[Any] = []
    for item in told:
        last = out[-1] if out else None
        is_text = item[0] in ("Text", "Refusal") or (item[0] == "Thinking" and not item[3])
        if last is not None and is_text and last[0] == item[0] and not (item[0] == "Thinking" and any(last[2:])):
            last[1] += item[1]
            last[2] = item[2] if item[0] == "Thinking" else last[2] + item[2]
        else:
            out.append(list(item) if isinstance(item, list) else item)
    return out


def gathered(told: list[Any]) -> list[Any]:
    """As a whole chat.completion has it: the thoughts (those with a proof last), one text, one refusal, the calls."""
    order = ("Thinking", "Text", "Refusal", "ToolCall", "stop")
    by_kind = sorted(told, key=lambda item: (order.index(item[0]), item[0] == "Thinking" and any(item[2:])))
    return joined(by_kind)
