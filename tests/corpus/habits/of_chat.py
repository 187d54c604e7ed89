"""What servers of Chat do differently, one line each."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.corpus.habits.changes import (
    GONE,
    Change,
    Event,
    Json,
    after_second,
    also,
    at,
    backwards,
    both,
    each,
    first,
    last,
    numbered_as_floats,
    numbered_as_text,
)  # fmt: skip

DELTA, CALLS = "choices.*.delta", "choices.*.delta.tool_calls.*"
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
_EMPTY: Json = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}


def spoken(**delta: object) -> Json:
    return _EMPTY | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def thought_as(**how: object) -> Change:
    """Thoughts under another name: `how` has the field, and "TEXT" where the text goes."""

    def change(delta: Json) -> None:
        if isinstance(said := delta.pop("reasoning_content", None), str):
            delta.pop("reasoning", None)
            delta |= filled(how, said)

    return each(lambda data: [change(choice["delta"]) for choice in data.get("choices") or []])


def filled(how: object, said: str) -> object:
    if isinstance(how, dict):
        return {key: filled(value, said) for key, value in how.items()}
    if isinstance(how, list):
        return [filled(one, said) for one in how]
    return said if how == "TEXT" else how


def parts_of_type(kind: str) -> Callable[[object], object]:
    return lambda said: [{"type": kind, "text": said}] if said and isinstance(said, str) else said


def finished(change: Change) -> Change:
    """A change to the chunk with the finish_reason alone."""

    def made(events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            choices = event[1].get("choices") if isinstance(event[1], dict) else None
            out += change([event]) if choices and choices[0].get("finish_reason") else [event]
        return out

    return made


def usage_where(change: Change) -> Change:
    """A change to the chunk that has the usage and nothing else."""
    return lambda events: [
        each
        for event in events
        for each in (change([event]) if isinstance(event[1], dict) and event[1].get("choices") == [] else [event])
    ]


def as_older_function(events: list[Event]) -> list[Event]:
    """One call, as function_call."""
    if sum("call_" in json.dumps(data) for _, data in events) != 1:
        return events
    for choice in (choice for _, data in events if isinstance(data, dict) for choice in data["choices"]):
        for call in choice["delta"].pop("tool_calls", []):
            choice["delta"]["function_call"] = call["function"]
    return events


def as_googles_thoughts(events: list[Event]) -> list[Event]:
    """Marked, and between tags in the content; the closing one stands before the answer."""
    tag, end = "<thought>", ""
    for delta in (choice["delta"] for _, data in events if isinstance(data, dict) for choice in data["choices"]):
        if said := delta.pop("reasoning_content", ""):
            delta.pop("reasoning", None)
            delta |= {"content": tag + said, "extra_content": {"google": {"thought": True}}}
            tag, end = "", "</thought>"
        elif delta.get("content"):
            delta["content"], end = end + delta["content"], ""
    return events


STREAMS: dict[str, Change] = {
    "fields in another order": lambda events: [(name, backwards(data)) for name, data in events],
    "an event's name": lambda events: [("message", data) for _, data in events],
    "no envelope": both(*(at(key, GONE) for key in ("id", "object", "created", "model"))),
    "an empty envelope": both(*(at(key, None) for key in ("id", "object", "created", "model"))),
    "an id that is a number": at("id", 7),
    "created as a text": at("created", "2026-01-01T00:00:00Z"),
    "object of a whole reply": at("object", "chat.completion"),
    "a role each time": also(DELTA, role="assistant"),
    "another role": also(DELTA, role="model"),
    "no role": at(f"{DELTA}.role", GONE),
    "no index of the choice": at("choices.*.index", GONE),
    "a null index of the choice": at("choices.*.index", None),
    "the choice's index as a text": at("choices.*.index", "0"),
    "unknown fields": both(also("", x={"a": 1}), also("choices.*", y=[1]), also(DELTA, z="z")),
    "nulls": also(DELTA, refusal=None, audio=None, annotations=None, function_call=None, images=None),
    "empty lists": both(also(DELTA, refusal="", annotations=[], images=[], reasoning_details=[])),
    "no calls, said each time as null": each(
        lambda data: [c["delta"].setdefault("tool_calls", None) for c in data["choices"]]
    ),
    "no calls, said each time as []": each(
        lambda data: [c["delta"].setdefault("tool_calls", []) for c in data["choices"]]
    ),
    "content null": each(lambda data: [c["delta"].setdefault("content", None) for c in data["choices"]]),
    "content empty": each(lambda data: [c["delta"].setdefault("content", "") for c in data["choices"]]),
    "content as parts": at(
        f"{DELTA}.content", lambda t: [{"type": "text", "text": t}] if t and isinstance(t, str) else t
    ),
    "content as output_text": at(
        f"{DELTA}.content", lambda t: [{"type": "output_text", "text": t}] if t and isinstance(t, str) else t
    ),
    "content as texts": at(f"{DELTA}.content", lambda t: [t] if t and isinstance(t, str) else t),
    "delta null beside the finish": finished(at(DELTA, None)),
    "no delta beside the finish": finished(at(DELTA, GONE)),
    "an empty delta after each": lambda events: [x for e in events for x in (e, ("", spoken()))][:-1],
    "a chunk with nothing first": first("", _EMPTY),
    "a chunk with nothing between": after_second("", _EMPTY),
    "a chunk of null": after_second("", None),
    "a chunk {}": after_second("", {}),
    "a ping": after_second("ping", {"type": "ping"}),
    "choices null": after_second("", _EMPTY | {"choices": None}),
    "no choices": after_second("", {"id": "c", "object": "x"}),
    "a choice that is null": after_second("", _EMPTY | {"choices": [None]}),
    "a choice that is empty": after_second("", _EMPTY | {"choices": [{}]}),
    "another choice": after_second("", _EMPTY | {"choices": [{"index": 1, "delta": {"content": "no"}}]}),
    "finish_reason as a capital": at("choices.*.finish_reason", lambda said: said and said.upper()),
    "finish_reason twice": finished(lambda events: events * 2),
    "finish_reason in a chunk with a null after": finished(lambda events: [*events, ("", spoken(content=""))]),
    "no finish_reason": at("choices.*.finish_reason", lambda said: said if said == "length" else None),
    "no [DONE]": lambda events: [event for event in events if event[1] != "[DONE]"],
    "[DONE] twice": last("", "[DONE]"),
    "[DONE] with blanks": lambda events: [(n, " [DONE] " if d == "[DONE]" else d) for n, d in events],
    "something after [DONE]": last("", {"id": "x"}),
    "usage null before": each(lambda data: data.setdefault("usage", None)),
    "usage {} before": each(lambda data: data.setdefault("usage", {})),
    "usage of zeros first": first("", _EMPTY | {"usage": dict.fromkeys(COUNTS[:3], 0)}),
    "usage of zeros last": lambda events: [
        *events[:-1],
        ("", _EMPTY | {"usage": dict.fromkeys(COUNTS[:3], 0)}),
        events[-1],
    ],
    "usage of nulls last": lambda events: [
        *events[:-1],
        ("", _EMPTY | {"usage": dict.fromkeys(COUNTS[:3])}),
        events[-1],
    ],
    "usage with choices null": usage_where(at("choices", None)),
    "usage without choices": usage_where(at("choices", GONE)),
    "usage first": lambda events: (
        [e for e in events if "usage" in str(e[1])] + [e for e in events if "usage" not in str(e[1])]
    ),
    "usage as texts": numbered_as_text(*COUNTS),
    "usage as floats": numbered_as_floats(*COUNTS),
    "no total": at("usage.total_tokens", GONE),
    "usage in Anthropic's words": at(
        "usage",
        lambda u: {
            "input_tokens": u["prompt_tokens"],
            "output_tokens": u["completion_tokens"],
            "input_tokens_details": u.get("prompt_tokens_details"),
            "output_tokens_details": u.get("completion_tokens_details"),
        },
    ),
    "counters null": both(at("usage.completion_tokens_details", None)),
    "reasoning": thought_as(reasoning="TEXT"),
    "reasoning beside null": thought_as(reasoning="TEXT", reasoning_content=None),
    "reasoning beside empty": thought_as(reasoning="TEXT", reasoning_content=""),
    "reasoning twice": thought_as(reasoning="TEXT", reasoning_content="TEXT"),
    "reasoning as an object": thought_as(reasoning={"content": "TEXT"}),
    "reasoning as an object with a text": thought_as(reasoning={"text": "TEXT"}),
    "reasoning_content as parts": thought_as(reasoning_content=[{"type": "text", "text": "TEXT"}]),
    "reasoning_text": thought_as(reasoning_text="TEXT"),
    "thinking": thought_as(thinking="TEXT"),
    "thinking_content": thought_as(thinking_content="TEXT"),
    "thinking as a part": thought_as(content=[{"type": "thinking", "thinking": "TEXT"}]),
    "thinking as parts in a part": thought_as(
        content=[{"type": "thinking", "thinking": [{"type": "text", "text": "TEXT"}]}]
    ),
    "reasoning as a part": thought_as(content=[{"type": "reasoning", "text": "TEXT"}]),
    "reasoning as a part of summaries": thought_as(
        content=[{"type": "reasoning", "summary": [{"type": "summary_text", "text": "TEXT"}]}]
    ),
    "reasoning as a part under its own name": thought_as(content=[{"type": "reasoning", "reasoning": "TEXT"}]),
    "reasoning_details": thought_as(reasoning_details=[{"type": "reasoning.text", "text": "TEXT"}]),
    "reasoning_details of summaries": thought_as(reasoning_details=[{"type": "reasoning.summary", "summary": "TEXT"}]),
    "reasoning and its details": thought_as(
        reasoning="TEXT", reasoning_details=[{"type": "reasoning.text", "text": "TEXT"}]
    ),
    "thinking_blocks": thought_as(reasoning_content="TEXT", thinking_blocks=[{"type": "thinking", "thinking": "TEXT"}]),
    "thoughts as Google has them": as_googles_thoughts,
    "a call as the older function": as_older_function,
    "calls' index as a text": at(f"{CALLS}.index", str),
    "calls' index as a float": at(f"{CALLS}.index", float),
    "calls' index from 1": at(f"{CALLS}.index", lambda n: n + 1),
    "calls' index with holes": at(f"{CALLS}.index", lambda n: 3 * n + 2),
    "no type of calls": at(f"{CALLS}.type", GONE),
    "another type of calls": at(f"{CALLS}.type", "tool_call"),
    "an id that is null after the first": each(
        lambda d: [k.setdefault("id", None) for c in d["choices"] for k in c["delta"].get("tool_calls", [])]
    ),
    "a name that is null after the first": each(
        lambda d: [
            k["function"].setdefault("name", None) for c in d["choices"] for k in c["delta"].get("tool_calls", [])
        ]
    ),
    "a name that is empty after the first": each(
        lambda d: [k["function"].setdefault("name", "") for c in d["choices"] for k in c["delta"].get("tool_calls", [])]
    ),
    "long ids of calls": at(f"{CALLS}.id", lambda id: id + "x" * 300),
    "odd ids of calls": at(f"{CALLS}.id", lambda id: f'functions.look:{id} é/"\\'),
    "ids of calls that are numbers": at(f"{CALLS}.id", lambda id: len(id) + ord(id[-1])),
    "the same id for all calls": at(f"{CALLS}.id", "call_0"),
    "empty ids of calls": at(f"{CALLS}.id", ""),
    "no ids of calls": at(f"{CALLS}.id", GONE),
    "null in a first call": also(f"{CALLS}.function", description=None, strict=None),
    "arguments null for none": at(f"{CALLS}.function.arguments", lambda said: said or None),
    "no arguments for none": each(
        lambda d: [
            k["function"].pop("arguments")
            for c in d["choices"]
            for k in c["delta"].get("tool_calls", [])
            if not k["function"]["arguments"]
        ]
    ),
    "calls that end with stop": at("choices.*.finish_reason", lambda said: "stop" if said == "tool_calls" else said),
    "a call that is no list": each(
        lambda d: [
            c["delta"].__setitem__("tool_calls", c["delta"]["tool_calls"][0])
            for c in d["choices"]
            if "tool_calls" in c["delta"]
        ]
    ),
    "timings": also("", timings={"prompt_ms": 1.0}, time_info={}, provider="P"),
    "logprobs": also("choices.*", logprobs={"content": [], "refusal": None}),
    "error null": also("", error=None),
    "error null in the choice": also("choices.*", error=None),
    "error {}": also("", error={}),
    "base_resp": also("", base_resp={"status_code": 0, "status_msg": ""}),
    "code 0": also("", code=0, msg="", message="", success=True),
}
