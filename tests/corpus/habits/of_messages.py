"""What servers of Messages do differently, one line each."""

from __future__ import annotations

from tests.corpus.habits.changes import (
    GONE,
    Change,
    Event,
    Json,
    after_second,
    also,
    at,
    backwards,
    before_each,
    both,
    each,
    first,
    last,
    leave_out,
    nameless,
    numbered_as_floats,
    numbered_as_text,
    twice,
    typeless,
)  # fmt: skip

COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_PROMPT = ("input_tokens", "cache_read_input_tokens")
PING: Json = {"type": "ping"}


def index_of_blocks(new: object) -> Change:
    return at("index", new, "content_block_start", "content_block_delta", "content_block_stop")


def without_start(*fields: str) -> Change:
    return both(*(at(f"message.{key}", GONE, "message_start") for key in fields))


def usage_at_the_end_alone(events: list[Event]) -> list[Event]:
    start = next(data["message"].pop("usage") for name, data in events if name == "message_start")
    for name, data in events:
        if name == "message_delta":
            data["usage"] = start | data["usage"]
    return events


def input_as(make: object) -> Change:
    return at("delta.partial_json", make, "content_block_delta")


STREAMS: dict[str, Change] = {
    "fields in another order": lambda events: [(name, backwards(data)) for name, data in events],
    "no names": nameless,
    "names alone": typeless,
    "unknown fields": both(
        also("", x={"a": 1}), also("delta", y=None), also("content_block", z=[]), also("message", w=1)
    ),
    "an unknown event": after_second("future", {"type": "future", "index": 0, "delta": {"text": "no"}}),
    "a ping before the first event": first("ping", PING),
    "a ping before each event": before_each("ping", PING),
    "a ping with a comment": before_each("ping", PING | {"cost": "0"}),
    "an event of null": after_second("", None),
    "an event {}": after_second("", {}),
    "[DONE]": last("", "[DONE]"),
    "message_start twice": twice("message_start"),
    "message_delta twice": twice("message_delta"),
    "message_stop twice": twice("message_stop"),
    "content_block_stop twice": twice("content_block_stop"),
    "no message_stop": leave_out("message_stop"),
    "no content_block_stop": leave_out("content_block_stop"),
    "a message without content": without_start("content"),
    "content null": at("message.content", None),
    "a message of its usage alone": without_start(
        "id", "type", "role", "model", "content", "stop_reason", "stop_sequence"
    ),
    "ids null": at("message.id", None),
    "an id that is a number": at("message.id", 7),
    "model null": at("message.model", None),
    "index as a text": index_of_blocks(str),
    "index as a float": index_of_blocks(float),
    "index from 1": index_of_blocks(lambda n: n + 1),
    "index with holes": index_of_blocks(lambda n: 3 * n + 2),
    "index always 0": index_of_blocks(0),
    "index always -1": index_of_blocks(-1),
    "index null": index_of_blocks(None),
    "no index": index_of_blocks(GONE),
    "no index of deltas and stops": at("index", GONE, "content_block_delta", "content_block_stop"),
    "index as a text in deltas alone": at("index", str, "content_block_delta"),
    "no type of deltas": at("delta.type", GONE, "content_block_delta"),
    "no text at the beginning": both(*(at(f"content_block.{key}", GONE) for key in ("text", "thinking", "input"))),
    "text null at the beginning": both(*(at(f"content_block.{key}", None) for key in ("text", "thinking", "input"))),
    "input [] at the beginning": at("content_block.input", []),
    "input as a text at the beginning": at("content_block.input", ""),
    "input {} as a text at the beginning": at("content_block.input", "{}"),
    "citations null": also("content_block", citations=None),
    "citations []": also("content_block", citations=[]),
    "cache_control": also("content_block", cache_control=None),
    "signature null": at("content_block.signature", None),
    "no signature at the beginning": at("content_block.signature", GONE),
    "an empty delta first": lambda events: [
        x
        for n, d in events
        for x in (
            [
                (
                    n,
                    d
                    | {"delta": d["delta"] | {k: "" for k in ("text", "thinking", "partial_json") if k in d["delta"]}},
                ),
                (n, d),
            ]
            if n == "content_block_delta"
            else [(n, d)]
        )
    ],
    "input as an object": input_as(lambda said: __import__("json").loads(said) if said else said),
    "input null first": lambda events: [
        x
        for n, d in events
        for x in (
            [(n, d | {"delta": d["delta"] | {"partial_json": None}}), (n, d)]
            if "partial_json" in d.get("delta", ())
            else [(n, d)]
        )
    ],
    "odd ids of calls": at("content_block.id", lambda id: f'functions.look:{id} é/"\\'),
    "long ids of calls": at("content_block.id", lambda id: id + "x" * 300),
    "the same id for all calls": at("content_block.id", "toolu_0"),
    "no ids of calls": at("content_block.id", GONE),
    "ids of calls null": at("content_block.id", None),
    "empty ids of calls": at("content_block.id", ""),
    "stop_reason as a capital": at("delta.stop_reason", lambda said: said and said.upper()),
    "stop_reason end_turn with calls": at("delta.stop_reason", lambda s: "end_turn" if s == "tool_use" else s),
    "stop_reason in Chat's words": at(
        "delta.stop_reason", lambda s: {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}.get(s, s)
    ),
    "stop_reason null in a second message_delta": lambda events: [
        x
        for n, d in events
        for x in (
            [(n, d), (n, d | {"delta": {"stop_reason": None, "stop_sequence": None}})]
            if n == "message_delta"
            else [(n, d)]
        )
    ],
    "usage in an event of its own": lambda events: [
        x
        for n, d in events
        for x in (
            [(n, d | {"usage": None}), (n, {"type": n, "delta": {}, "usage": d["usage"]})]
            if n == "message_delta"
            else [(n, d)]
        )
    ],
    "no delta in message_delta but its stop": at("delta.stop_sequence", GONE),
    "stop_sequence empty": at("delta.stop_sequence", ""),
    "usage as texts": numbered_as_text(*COUNTS),
    "usage as floats": numbered_as_floats(*COUNTS),
    "usage null at the start, whole at the end": usage_at_the_end_alone,
    "usage 0 at the end": each(lambda d: d.update(usage=dict.fromkeys(_PROMPT, 0) | d["usage"]), "message_delta"),
    "usage null at the end": each(lambda d: d.update(usage=dict.fromkeys(_PROMPT) | d["usage"]), "message_delta"),
    "usage of more": also("usage", server_tool_use=None, service_tier=None, cache_creation=None, iterations=None),
    "container": each(lambda d: d["delta"].setdefault("container", None), "message_delta"),
    "stop_details": each(lambda d: d["delta"].setdefault("stop_details", None), "message_delta"),
    "error null": also("", error=None),
    "base_resp": also("", base_resp={"status_code": 0, "status_msg": ""}),
}
