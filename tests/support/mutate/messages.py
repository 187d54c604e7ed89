"""A Messages server's habits."""

from __future__ import annotations

from random import Random

from tests.support import meaning
from tests.support.mutate.base import Event, copied, messages


@messages
def pings_anywhere(events: list[Event], rng: Random) -> list[Event]:
    out = list(events)
    for _ in range(3):
        out.insert(rng.randrange(len(out)), ("ping", {"type": "ping"}))
    return out


@messages
def no_event_lines(events: list[Event], rng: Random) -> list[Event]:
    return [("", data) for _, data in events]


@messages
def unknown_events(events: list[Event], rng: Random) -> list[Event]:
    out = list(events)
    out.insert(rng.randrange(len(out)) + 1, ("heartbeat", {"type": "heartbeat", "n": 1}))
    return out


@messages
def unknown_fields(events: list[Event], rng: Random) -> list[Event]:
    out = []
    for name, data in copied(events):
        if isinstance(data, dict) and data.get("type") != "error":
            data["future"] = {"a": [1]}
            for key in ("message", "content_block", "delta"):
                if isinstance(data.get(key), dict):
                    data[key]["future"] = None
        out.append((name, data))
    return out


@messages
def done_after_the_end(events: list[Event], rng: Random) -> list[Event]:
    return [*events, ("data", "[DONE]")] if events[-1][0] == "message_stop" else events


@messages
def no_message_stop(events: list[Event], rng: Random) -> list[Event]:
    return [event for event in events if event[0] != "message_stop"]


@messages
def deltas_cut_differently(events: list[Event], rng: Random) -> list[Event]:
    out = []
    for name, data in events:
        delta = data.get("delta") if isinstance(data, dict) and name == "content_block_delta" else None
        key = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}.get(
            (delta or {}).get("type", "")
        )
        if not key or len(delta[key]) < 2:  # type: ignore[index]
            out.append((name, data))
            continue
        at = rng.randrange(len(delta[key]))  # type: ignore[index]  # 0: an empty delta first
        out += [(name, data | {"delta": delta | {key: part}}) for part in (delta[key][:at], delta[key][at:])]  # type: ignore[index, operator]
    return out


@messages
def input_whole_at_the_start(events: list[Event], rng: Random) -> list[Event]:
    fed: dict[int, str] = {}
    for _, data in events:
        if isinstance(data, dict) and (data.get("delta") or {}).get("type") == "input_json_delta":
            fed[data["index"]] = fed.get(data["index"], "") + data["delta"]["partial_json"]
    whole = {index: meaning.arguments(text) for index, text in fed.items()}
    out = []
    for name, data in copied(events):
        block = data.get("content_block") if isinstance(data, dict) else None
        if block and block["type"] == "tool_use" and isinstance(whole.get(data["index"]), dict):
            block["input"] = whole[data["index"]]
        elif isinstance(data, dict) and (data.get("delta") or {}).get("type") == "input_json_delta":
            if isinstance(whole[data["index"]], dict):
                continue
        out.append((name, data))
    return out


@messages
def usage_only_output_at_the_end(events: list[Event], rng: Random) -> list[Event]:
    start = next((d["message"]["usage"] for n, d in events if n == "message_start"), {})
    out = []
    for name, data in copied(events):
        if name == "message_delta" and data.get("usage"):
            changed = any(data["usage"].get(k) not in (None, start.get(k)) for k in data["usage"] if "input" in k)
            if not changed:
                data["usage"] = {"output_tokens": data["usage"].get("output_tokens", 0)}
        out.append((name, data))
    return out


@messages
def usage_nulls_at_the_end(events: list[Event], rng: Random) -> list[Event]:
    out = []
    for name, data in copied(events):
        if name == "message_delta" and data.get("usage"):
            for key in ("cache_read_input_tokens", "cache_creation_input_tokens", "input_tokens"):
                data["usage"].setdefault(key, None)
        out.append((name, data))
    return out


@messages
def output_counted_at_the_start(events: list[Event], rng: Random) -> list[Event]:
    out = copied(events)
    for name, data in out:
        if name == "message_start":
            data["message"]["usage"]["output_tokens"] = 88
    ends = any(n == "message_delta" and "output_tokens" in (d.get("usage") or {}) for n, d in events)
    return [tuple(event) for event in out] if ends else events


@messages
def a_block_nobody_knows(events: list[Event], rng: Random) -> list[Event]:
    """Before the first block: all others move up by one."""
    out: list[Event] = []
    for name, data in copied(events):
        if isinstance(data, dict) and "index" in data:
            data["index"] += 1
        out.append((name, data))
        if name == "message_start":
            block = {
                "type": "future_tool_result",
                "tool_use_id": "x",
                "content": [{"type": "text", "text": "no"}],
            }
            out.append(("content_block_start", {"type": "content_block_start", "index": 0, "content_block": block}))
            out.append(("content_block_stop", {"type": "content_block_stop", "index": 0}))
    return out
