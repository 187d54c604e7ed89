"""What servers of Gemini do differently, one line each."""

from __future__ import annotations

import json

from tests.corpus.habits.changes import (
    GONE,
    Change,
    Event,
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

COUNTS = (
    "promptTokenCount",
    "candidatesTokenCount",
    "totalTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
)
CONTENT = "candidates.*.content"
PARTS = f"{CONTENT}.parts"


def at_last(change: Change) -> Change:
    return lambda events: [*events[:-1], *change(events[-1:])]


def finish_apart(events: list[Event]) -> list[Event]:
    """The finish in an event of its own, in which there is no content."""
    name, data = events[-1]
    finish = data["candidates"][0].pop("finishReason")
    return [*events, (name, data | {"candidates": [{"finishReason": finish, "index": 0}]})]


def snake(inside: object) -> object:
    if isinstance(inside, dict):
        return {_snake(key): value if key == "args" else snake(value) for key, value in inside.items()}
    return [snake(one) for one in inside] if isinstance(inside, list) else inside


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def finished_by(word: object) -> Change:
    return at("candidates.*.finishReason", word)


STREAMS: dict[str, Change] = {
    "fields in another order": lambda events: [(name, backwards(data)) for name, data in events],
    "snake case": lambda events: [(name, snake(data)) for name, data in events],
    "an event's name": lambda events: [("message", data) for _, data in events],
    "[DONE]": last("", "[DONE]"),
    "unknown fields": both(
        also("", x={"a": 1}), also("candidates.*", y=None), also(CONTENT, z=[]), also(f"{PARTS}.*", w=None)
    ),
    "an event of null": after_second("", None),
    "an event {}": after_second("", {}),
    "an event without candidates": after_second("", {"usageMetadata": {"promptTokenCount": 20}, "modelVersion": "m"}),
    "candidates []": after_second("", {"candidates": [], "modelVersion": "m"}),
    "candidates null": after_second("", {"candidates": None, "modelVersion": "m"}),
    "a candidate {}": after_second("", {"candidates": [{}], "modelVersion": "m"}),
    "content null": after_second("", {"candidates": [{"content": None, "index": 0}]}),
    "content {}": after_second("", {"candidates": [{"content": {}, "index": 0}]}),
    "parts null": after_second("", {"candidates": [{"content": {"parts": None, "role": "model"}}]}),
    "parts []": after_second("", {"candidates": [{"content": {"parts": [], "role": "model"}}]}),
    "a part {}": after_second("", {"candidates": [{"content": {"parts": [{}], "role": "model"}}]}),
    "a part null": after_second("", {"candidates": [{"content": {"parts": [None], "role": "model"}}]}),
    "a text null": after_second("", {"candidates": [{"content": {"parts": [{"text": None}], "role": "model"}}]}),
    "a text empty": after_second("", {"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}}]}),
    "two candidates": each(
        lambda d: d["candidates"].append({"index": 1, "content": {"parts": [{"text": "no"}]}, "finishReason": "STOP"})
    ),
    "the second candidate first": each(
        lambda d: d["candidates"].insert(0, {"index": 1, "content": {"parts": [{"text": "no"}]}})
    ),
    "no index": at("candidates.*.index", GONE),
    "index null": at("candidates.*.index", None),
    "index as a text": at("candidates.*.index", "0"),
    "no role": at(f"{CONTENT}.role", GONE),
    "role null": at(f"{CONTENT}.role", None),
    "role assistant": at(f"{CONTENT}.role", "assistant"),
    "no ids and names": both(at("responseId", GONE), at("modelVersion", GONE)),
    "nulls in parts": also(
        f"{PARTS}.*",
        inlineData=None,
        fileData=None,
        executableCode=None,
        codeExecutionResult=None,
        functionResponse=None,
    ),
    "all kinds in a part, null": both(
        *(
            each(lambda d, k=k: [p.setdefault(k, None) for c in d["candidates"] for p in c["content"]["parts"]])
            for k in ("text", "functionCall", "thought", "thoughtSignature")
        )
    ),
    "thought false": each(
        lambda d: [p.setdefault("thought", False) for c in d["candidates"] for p in c["content"]["parts"]]
    ),
    "an empty text in a part with a call": each(
        lambda d: [p.setdefault("text", "") for c in d["candidates"] for p in c["content"]["parts"]]
    ),
    "args as a text": at(f"{PARTS}.*.functionCall.args", json.dumps),
    "ids of calls null": at(f"{PARTS}.*.functionCall.id", None),
    "no ids of calls": at(f"{PARTS}.*.functionCall.id", GONE),
    "empty ids of calls": at(f"{PARTS}.*.functionCall.id", ""),
    "odd ids of calls": at(f"{PARTS}.*.functionCall.id", 'functions.look:0 é/"'),
    "signature null": at(f"{PARTS}.*.thoughtSignature", None),
    "no signature": at(f"{PARTS}.*.thoughtSignature", GONE),
    "finishReason null before": each(lambda d: d["candidates"][0].setdefault("finishReason", None)),
    "finishReason empty before": each(lambda d: d["candidates"][0].setdefault("finishReason", "")),
    "finishReason unspecified before": each(
        lambda d: d["candidates"][0].setdefault("finishReason", "FINISH_REASON_UNSPECIFIED")
    ),
    "finishReason apart": finish_apart,
    "finishReason in small letters": finished_by(lambda said: said and said.lower()),
    "a new word for the end": finished_by(lambda said: "COMPLETED" if said == "STOP" else said),
    "TOOL_CALLS": finished_by(lambda said: "TOOL_CALLS" if said == "STOP" else said),
    "finishReason twice": lambda events: [
        *events,
        ("", {"candidates": [{"finishReason": events[-1][1]["candidates"][0]["finishReason"]}]}),
    ],
    "finishReason in each event": lambda events: [
        (n, d | {"candidates": [d["candidates"][0] | {"finishReason": events[-1][1]["candidates"][0]["finishReason"]}]})
        for n, d in events
    ],
    "no content at the end": lambda events: (
        events
        if events[-1][1]["candidates"][0]["content"]["parts"] != [{"text": ""}]
        else at_last(at(CONTENT, GONE))(events)
    ),
    "usage at the end alone": lambda events: (
        [(n, {k: v for k, v in d.items() if k != "usageMetadata"}) for n, d in events[:-1]] + events[-1:]
    ),
    "usage in an event of its own": lambda events: [
        *[(n, {k: v for k, v in d.items() if k != "usageMetadata"}) for n, d in events],
        ("", {"usageMetadata": events[-1][1]["usageMetadata"]}),
    ],
    "usage in the first event alone": lambda events: [
        *events[:1],
        *[(n, {k: v for k, v in d.items() if k != "usageMetadata"}) for n, d in events[1:]],
    ],
    "usage {} at the end": at_last(at("usageMetadata", {})),
    "usage null at the end": at_last(at("usageMetadata", None)),
    "usage of zeros at the end": at_last(at("usageMetadata", dict.fromkeys(COUNTS, 0))),
    "usage of nulls at the end": at_last(at("usageMetadata", dict.fromkeys(COUNTS))),
    "usage of zeros first": first("", {"usageMetadata": dict.fromkeys(COUNTS, 0)}),
    "usage as texts": numbered_as_text(*COUNTS),
    "usage as floats": numbered_as_floats(*COUNTS),
    "promptFeedback": also("", promptFeedback={}),
    "promptFeedback null": also("", promptFeedback=None),
    "promptFeedback unspecified": also(
        "", promptFeedback={"blockReason": "BLOCKED_REASON_UNSPECIFIED", "safetyRatings": []}
    ),
    "promptFeedback in an event of its own": first(
        "", {"promptFeedback": {"safetyRatings": [{"category": "X", "probability": "NEGLIGIBLE"}]}}
    ),
    "groundingMetadata {}": also("candidates.*", groundingMetadata={}, citationMetadata={}, safetyRatings=[]),
    "groundingMetadata null": also("candidates.*", groundingMetadata=None, citationMetadata=None, safetyRatings=None),
    "groundingMetadata of empty lists": also(
        "candidates.*", groundingMetadata={"groundingChunks": [], "groundingSupports": [], "webSearchQueries": []}
    ),
    "error null": also("", error=None),
    "a lone part": at(PARTS, lambda parts: parts[0] if len(parts) == 1 else parts),
    "a lone candidate": at("candidates", lambda each: each[0]),
}
