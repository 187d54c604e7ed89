"""A Chat server's habits in the envelope, the text and the end of a stream."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.support.mutate.base import Event, Json, chat, choice_of, copied, delta_of, each_choice

# ------------------------------------------------------------------------------------ Chat: the envelope


@chat
def role_on_every_chunk(events: list[Event], rng: Random) -> list[Event]:
    return each_choice(events, lambda choice, delta: delta.update(role="assistant"))


@chat
def role_null_or_gone(events: list[Event], rng: Random) -> list[Event]:
    def change(choice: Json, delta: Json) -> None:
        delta.pop("role", None)
        if rng.random() < 0.5:
            delta["role"] = None

    return each_choice(events, change)


@chat
def ids_and_models_change(events: list[Event], rng: Random) -> list[Event]:
    changed = {
        "id": lambda: rng.choice(["", "a", "b"]),
        "model": lambda: rng.choice(["", "x"]),
        "created": lambda: 0,
    }
    return [
        (name, data | {k: make() for k, make in changed.items()} if isinstance(data, dict) else data)
        for name, data in events
    ]


@chat
def bare_envelope(events: list[Event], rng: Random) -> list[Event]:
    gone = {"id", "object", "created", "model"}
    return [(n, {k: v for k, v in d.items() if k not in gone} if isinstance(d, dict) else d) for n, d in events]


@chat
def empty_first_chunk(events: list[Event], rng: Random) -> list[Event]:
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": []}
    return [("", first), *events]


@chat
def nulls_everywhere(events: list[Event], rng: Random) -> list[Event]:
    keys = ("tool_calls", "refusal", "function_call", "reasoning_content", "reasoning", "content", "audio")

    def change(choice: Json, delta: Json) -> None:
        choice.setdefault("logprobs", None)
        for key in keys:
            delta.setdefault(key, None)

    return each_choice(events, change)


@chat
def empty_content_beside(events: list[Event], rng: Random) -> list[Event]:
    return each_choice(events, lambda choice, delta: delta.setdefault("content", ""))


@chat
def unknown_keys(events: list[Event], rng: Random) -> list[Event]:
    def change(choice: Json, delta: Json) -> None:
        choice["content_filter_results"] = {"hate": {"filtered": False}}
        choice["native_finish_reason"] = None
        delta["channel"] = "final"

    noisy = each_choice(events, change)
    return [
        (n, d | {"p": "abcd", "x_groq": {"id": "r"}, "timings": {}} if isinstance(d, dict) else d) for n, d in noisy
    ]


@chat
def another_choice(events: list[Event], rng: Random) -> list[Event]:
    noise = {"choices": [{"index": 1, "delta": {"content": "noise"}, "finish_reason": None}]}
    out = list(events)
    out.insert(rng.randrange(len(out)), ("", noise))
    return out


# --------------------------------------------------------------------------------------- Chat: the end


@chat
def no_done(events: list[Event], rng: Random) -> list[Event]:
    finished = any(choice_of(data).get("finish_reason") for _, data in events)
    return [event for event in events if event[1] != "[DONE]" or not finished]


@chat
def finish_key_absent(events: list[Event], rng: Random) -> list[Event]:
    def change(choice: Json, delta: Json) -> None:
        if choice.get("finish_reason") is None:
            choice.pop("finish_reason", None)

    return each_choice(events, change)


@chat
def finish_empty(events: list[Event], rng: Random) -> list[Event]:
    def change(choice: Json, delta: Json) -> None:
        choice["finish_reason"] = choice.get("finish_reason") or ""

    return each_choice(events, change)


@chat
def finish_twice(events: list[Event], rng: Random) -> list[Event]:
    out = []
    for name, data in events:
        out.append((name, data))
        if choice_of(data).get("finish_reason"):
            again = {"index": 0, "delta": {"role": "assistant", "content": ""}}
            out.append((name, {"choices": [again | {"finish_reason": choice_of(data)["finish_reason"]}]}))
    return out


@chat
def finish_with_the_last_delta(events: list[Event], rng: Random) -> list[Event]:
    out: list[Event] = []
    for name, data in events:
        reason = choice_of(data).get("finish_reason")
        empty = not any(value for key, value in delta_of(data).items() if key != "role")
        if reason and empty and not {"usage", "x_groq"} & data.keys() and out and delta_of(out[-1][1]):
            last = copied(out[-1][1])
            choice_of(last)["finish_reason"] = reason
            out[-1] = (out[-1][0], last)
        else:
            out.append((name, data))
    return out


def _usage_apart(events: list[Event]) -> tuple[list[Event], Json | None]:
    """The events without usage, and the usage."""
    usage, out = None, []
    for name, data in events:
        if isinstance(data, dict):
            usage = data.get("usage") or (data.get("x_groq") or {}).get("usage") or usage
            data = {k: v for k, v in data.items() if k not in ("usage", "x_groq")}
            if not data.get("choices") and "error" not in data:
                continue
        out.append((name, data))
    return out, usage


def _at_finish(events: list[Event], put: Callable[[Json], Json], beside: list[Event]) -> list[Event]:
    out: list[Event] = []
    for name, data in events:
        done = bool(choice_of(data).get("finish_reason"))
        out.append((name, put(data) if done else data))
        out += beside if done else []
    return out


@chat
def usage_on_the_finish_chunk(events: list[Event], rng: Random) -> list[Event]:
    rest, usage = _usage_apart(events)
    return _at_finish(rest, lambda data: data | {"usage": usage}, []) if _once(rest) and usage else events


@chat
def usage_in_x_groq(events: list[Event], rng: Random) -> list[Event]:
    rest, usage = _usage_apart(events)
    return _at_finish(rest, lambda d: d | {"x_groq": {"usage": usage}}, []) if _once(rest) and usage else events


@chat
def usage_with_a_choice_after_the_finish(events: list[Event], rng: Random) -> list[Event]:
    rest, usage = _usage_apart(events)
    late = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    return _at_finish(rest, dict, [("", late | {"usage": usage})]) if _once(rest) and usage else events


@chat
def usage_grows_on_every_chunk(events: list[Event], rng: Random) -> list[Event]:
    rest, usage = _usage_apart(events)
    if not usage or not _once(rest):
        return events
    out: list[Event] = []
    so_far = usage | {"completion_tokens": 1}
    for name, data in rest:
        so_far = usage if choice_of(data).get("finish_reason") else so_far
        out.append((name, data | {"usage": so_far} if isinstance(data, dict) else data))
    return out


@chat
def usage_null_on_the_others(events: list[Event], rng: Random) -> list[Event]:
    return [(n, {"usage": None} | d if isinstance(d, dict) else d) for n, d in events]


def _once(events: list[Event]) -> bool:
    return sum(bool(choice_of(data).get("finish_reason")) for _, data in events) == 1


# ------------------------------------------------------------------------------------ Chat: the content


@chat
def text_cut_differently(events: list[Event], rng: Random) -> list[Event]:
    out: list[Event] = []
    for name, data in events:
        text = delta_of(data).get("content")
        alone = {k for k, v in delta_of(data).items() if v} <= {"role", "content"}
        if not isinstance(text, str) or len(text) < 2 or not alone or len(data["choices"]) > 1:
            out.append((name, data))
            continue
        at = rng.randrange(1, len(text))
        first = {"choices": [{"index": 0, "delta": {"content": text[:at]}, "finish_reason": None}]}
        last = copied(data)
        delta_of(last)["content"] = text[at:]
        out += [(name, first), (name, last)]
    return out


@chat
def content_as_parts(events: list[Event], rng: Random) -> list[Event]:
    def change(choice: Json, delta: Json) -> None:
        if isinstance(delta.get("content"), str) and delta["content"]:
            delta["content"] = [{"type": "text", "text": delta["content"]}]

    return each_choice(events, change)


@chat
def reasoning_by_another_name(events: list[Event], rng: Random) -> list[Event]:
    both = rng.random() < 0.5

    def change(choice: Json, delta: Json) -> None:
        said = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(said, str):
            delta.pop("reasoning_content", None)
            delta["reasoning"] = said
            if both:
                delta["reasoning_content"] = said

    return each_choice(events, change)
