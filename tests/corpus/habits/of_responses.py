"""What servers of Responses do differently, one line each."""

from __future__ import annotations

import itertools

from tests.corpus.habits.changes import (
    GONE,
    Change,
    Event,
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

COUNTS = ("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
_TEXTS = ("output_text", "reasoning_summary_text", "function_call_arguments")
DELTAS = tuple(f"response.{name}.delta" for name in _TEXTS)
DONES = tuple(f"response.{name}.done" for name in _TEXTS)
PARTS = tuple(
    f"response.{part}.{end}" for part in ("content_part", "reasoning_summary_part") for end in ("added", "done")
)
ITEM_ADDED, ITEM_DONE = "response.output_item.added", "response.output_item.done"
BEGUN = ("response.created", "response.in_progress")
END = "response.completed"


def ids_that_change(events: list[Event]) -> list[Event]:
    numbers = itertools.count()
    for _, data in events:
        if "item_id" in data:
            data["item_id"] = f"x{next(numbers)}"
        if isinstance(data.get("item"), dict):
            data["item"]["id"] = f"x{next(numbers)}"
    return events


def renamed(old: str, new: str) -> Change:
    def made(events: list[Event]) -> list[Event]:
        for _, data in events:
            data["type"] = data["type"].replace(old, new)
        return [(name.replace(old, new), data) for name, data in events]

    return made


STREAMS: dict[str, Change] = {
    "fields in another order": lambda events: [(name, backwards(data)) for name, data in events],
    "no names": nameless,
    "names alone": typeless,
    "[DONE]": last("", "[DONE]"),
    "no sequence_number": at("sequence_number", GONE),
    "sequence_number always 0": at("sequence_number", 0),
    "sequence_number as a text": at("sequence_number", str),
    "unknown fields": both(also("", x={"a": 1}), also("item", y=None), also("response", z=[]), also("part", w=1)),
    "an unknown event": after_second("codex.rate_limits", {"type": "codex.rate_limits", "rate_limits": {"a": 1}}),
    "an unknown event of responses": after_second(
        "response.future.delta", {"type": "response.future.delta", "delta": "no"}
    ),
    "keepalive": before_each("keepalive", {"type": "keepalive", "sequence_number": 3}),
    "a ping": before_each("ping", {"type": "ping"}),
    "an event of null": after_second("", None),
    "an event {}": after_second("", {}),
    "no response.in_progress": leave_out("response.in_progress"),
    "no response.created": leave_out("response.created"),
    "no beginning": leave_out(*BEGUN),
    "response.queued": first(
        "response.queued", {"type": "response.queued", "response": {"id": "r", "status": "queued"}}
    ),
    "no items added": leave_out(ITEM_ADDED),
    "no items done": leave_out(ITEM_DONE),
    "no parts": leave_out(*PARTS),
    "no deltas": leave_out(*DELTAS),
    "no texts done": leave_out(*DONES),
    "deltas alone": leave_out(*DONES, *PARTS, ITEM_ADDED, ITEM_DONE),
    "deltas and items added": leave_out(*DONES, *PARTS, ITEM_DONE),
    "texts done alone": leave_out(*DELTAS, *PARTS, ITEM_ADDED, ITEM_DONE),
    "items done alone": leave_out(*DELTAS, *DONES, *PARTS, ITEM_ADDED),
    "items alone": leave_out(*DELTAS, *DONES, *PARTS),
    "the end alone": leave_out(*DELTAS, *DONES, *PARTS, ITEM_ADDED, ITEM_DONE, *BEGUN),
    "items done twice": twice(ITEM_DONE),
    "items added twice": twice(ITEM_ADDED),
    "texts done twice": twice(*DONES),
    "the end twice": twice(END),
    "created twice": twice("response.created"),
    "an empty output": at("response.output", [], END),
    "a null output": at("response.output", None, END),
    "no output": at("response.output", GONE, END),
    "no output, deltas and items added": both(leave_out(*DONES, *PARTS, ITEM_DONE), at("response.output", [], END)),
    "no output, items done alone": both(leave_out(*DELTAS, *DONES, *PARTS, ITEM_ADDED), at("response.output", [], END)),
    "no output, texts done": both(leave_out(*DELTAS, *PARTS, ITEM_DONE), at("response.output", [], END)),
    "no output, no items done": both(leave_out(ITEM_DONE), at("response.output", [], END)),
    "no status at the end": at("response.status", GONE, END),
    "status in_progress at the end": at("response.status", "in_progress", END),
    "status of items in_progress": both(
        at("item.status", "in_progress"), at("response.output.*.status", "in_progress")
    ),
    "no status of items": both(at("item.status", GONE), at("response.output.*.status", GONE)),
    "response.done": renamed("response.completed", "response.done"),
    "no ids of items": both(at("item_id", GONE), at("item.id", GONE), at("response.output.*.id", GONE)),
    "ids of items null": both(at("item_id", None), at("item.id", None), at("response.output.*.id", None)),
    "ids of items empty": both(at("item_id", ""), at("item.id", ""), at("response.output.*.id", "")),
    "ids of items that change": ids_that_change,
    "other ids at the end": at("response.output.*.id", lambda id: f"other_{id}"),
    "other ids of calls at the end": at("response.output.*.call_id", lambda id: f"other_{id}"),
    "odd ids of calls": both(
        *(at(f"{p}.call_id", lambda id: f'functions.look:{id} é/"') for p in ("item", "response.output.*"))
    ),
    "long ids of calls": both(*(at(f"{p}.call_id", lambda id: id + "x" * 300) for p in ("item", "response.output.*"))),
    "no call_id": both(*(at(f"{p}.call_id", GONE) for p in ("item", "response.output.*"))),
    "empty call_id": both(*(at(f"{p}.call_id", "") for p in ("item", "response.output.*"))),
    "no output_index": at("output_index", GONE),
    "output_index always 0": at("output_index", 0),
    "output_index from 1": at("output_index", lambda n: n + 1),
    "output_index as a text": at("output_index", str),
    "output_index as a float": at("output_index", float),
    "output_index as a text where items begin": at("output_index", str, ITEM_ADDED),
    "output_index null": at("output_index", None),
    "no index within": both(at("content_index", GONE), at("summary_index", GONE)),
    "an index within as a text in deltas": both(*(at(k, str, *DELTAS) for k in ("content_index", "summary_index"))),
    "an index within from 1": both(*(at(k, 1) for k in ("content_index", "summary_index"))),
    "content null where items begin": at("item.content", None, ITEM_ADDED),
    "no content where items begin": at("item.content", GONE, ITEM_ADDED),
    "summary null": both(at("item.summary", None, ITEM_ADDED)),
    "no role": both(at("item.role", GONE), at("response.output.*.role", GONE)),
    "names of calls at their end alone": at("item.name", GONE, ITEM_ADDED),
    "no arguments where calls begin": at("item.arguments", GONE, ITEM_ADDED),
    "arguments null where calls begin": at("item.arguments", None, ITEM_ADDED),
    "arguments {} where calls begin": at("item.arguments", "{}", ITEM_ADDED),
    "arguments as objects at the end": both(
        *(
            at(f"{p}.arguments", lambda a: __import__("json").loads(a) if a else a)
            for p in ("item", "response.output.*")
        )
    ),
    "whole arguments where calls begin": lambda events: [
        (
            n,
            d
            | {
                "item": d["item"]
                | {
                    "arguments": next(
                        e["item"]["arguments"]
                        for _, e in events
                        if e["type"] == ITEM_DONE and e["output_index"] == d["output_index"]
                    )
                }
            }
            if n == ITEM_ADDED and d["item"]["type"] == "function_call"
            else d,
        )
        for n, d in events
    ],
    "annotations null": both(at("part.annotations", None), at("response.output.*.content.*.annotations", None)),
    "no annotations": both(at("part.annotations", GONE), at("response.output.*.content.*.annotations", GONE)),
    "type text": both(
        at("part.type", "text"), at("item.content.*.type", "text"), at("response.output.*.content.*.type", "text")
    ),
    "no type of content": both(
        at("part.type", GONE), at("item.content.*.type", GONE), at("response.output.*.content.*.type", GONE)
    ),
    "content as a text": both(
        *(at(f"{p}.content", lambda c: "".join(x["text"] for x in c)) for p in ("item", "response.output.*"))
    ),
    "reasoning as its text": renamed("reasoning_summary_text", "reasoning_text"),
    "usage as texts": numbered_as_text(*COUNTS),
    "usage as floats": numbered_as_floats(*COUNTS),
    "usage in Chat's words": at(
        "response.usage",
        lambda u: (
            u
            and {
                "prompt_tokens": u["input_tokens"],
                "completion_tokens": u["output_tokens"],
                "prompt_tokens_details": u["input_tokens_details"],
                "completion_tokens_details": u["output_tokens_details"],
            }
        ),
    ),
    "usage in the first event, too": each(lambda d: d["response"].update(usage=dict.fromkeys(COUNTS[:3], 0)), *BEGUN),
    "error null": also("", error=None),
    "error {}": also("response", error={}),
    "an envelope of the end alone": each(
        lambda d: [d["response"].pop(k) for k in list(d["response"]) if k not in ("id", "output", "usage", "status")],
        END,
    ),
    "obfuscation": also("", obfuscation="abc"),
}
