"""Streams that hold all that a server of their protocol says, as it should say it. The mutations are made of these."""

from __future__ import annotations

from typing import Any

from tests.corpus.habits.changes import Event, Json
from tests.support import mutate
from tests.support.streams import (
    END,
    HI,
    PING,
    ROLE,
    START,
    STOP,
    THINKING,
    USAGE,
    call,
    chat,
    chunk,
    ending,
    first_call,
    messages,
    text,
    tool,
)  # fmt: skip

_CHAT_USAGE: Json = {
    "prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 12}, "completion_tokens_details": {"reasoning_tokens": 2},
}  # fmt: skip
_SIGNED = {"type": "reasoning.text", "signature": "c2lnbmF0dXJl", "format": "anthropic-claude-v1", "index": 0}


def _chunks(*chunks: Json) -> list[Event]:
    return mutate.parse(chat(*chunks, USAGE | {"usage": _CHAT_USAGE}))


_CHAT: dict[str, list[Event]] = {
    "all": _chunks(
        ROLE, chunk({"reasoning_content": "let "}), chunk({"reasoning_content": "me"}), HI, chunk({"content": " you"}),
        chunk(first_call(0, "", "call_a")), chunk(call(0, '{"a": ')), chunk(call(0, '"x"}')),
        chunk(first_call(1, "", "call_b", "other")), chunk(call(1, '{"b": 2}')), chunk(finish="tool_calls"),
    ),
    "text": _chunks(ROLE, HI, chunk({"content": " you"}), END),
    "cut": _chunks(ROLE, HI, chunk(finish="length")),
    "signed": _chunks(
        ROLE,
        chunk({"content": "", "reasoning": "so", "reasoning_details": [_SIGNED | {"text": "so", "signature": None}]}),
        chunk({"content": "", "reasoning": None, "reasoning_details": [_SIGNED]}),
        HI, END,
    ),
    "call": _chunks(ROLE, chunk(first_call(0, "", "call_a")), chunk(finish="tool_calls")),
}  # fmt: skip

_TOLD: Json = {
    "input_tokens": 8, "cache_read_input_tokens": 12, "cache_creation_input_tokens": 0, "output_tokens": 1,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, "service_tier": "standard",
}  # fmt: skip
_BEGUN: Json = {**START, "message": START["message"] | {"usage": _TOLD}}


def _events(*events: Json) -> list[Event]:
    return mutate.parse(messages(_BEGUN, *events, STOP))


_MESSAGES: dict[str, list[Event]] = {
    "all": _events(
        *THINKING, text(1)[0], text(1, "hi ")[1], text(1, "you")[1], text(1)[2], *tool(2, '{"a": "x"}'),
        *tool(3, '{"b": 2}', "toolu_2", "other"), ending("tool_use"),
    ),
    "text": _events(PING, *text(0, "hi you"), ending()),
    "cut": _events(*text(0, "hi you"), ending("max_tokens")),
    "call": _events(*tool(0, ""), ending("tool_use")),
}  # fmt: skip

_RESPONSE_USAGE: Json = {
    "input_tokens": 20, "input_tokens_details": {"cached_tokens": 12},
    "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 29,
}  # fmt: skip
_RESPONSE: Json = {
    "id": "resp_1", "object": "response", "created_at": 1, "completed_at": 2, "status": "completed", "error": None,
    "background": False, "incomplete_details": None, "instructions": None, "max_output_tokens": None, "model": "m",
    "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
    "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_p": 1.0, "truncation": "disabled", "usage": _RESPONSE_USAGE, "user": None, "metadata": {},
}  # fmt: skip
_REASONING: Json = {
    "type": "reasoning", "id": "rs_1", "encrypted_content": None, "status": "completed",
    "summary": [{"type": "summary_text", "text": "so"}],
}  # fmt: skip
_PART: Json = {"type": "output_text", "text": "hi you", "annotations": [], "logprobs": []}
_TEXT: Json = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [_PART]}
_CALL: Json = {
    "type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "look", "arguments": '{"a": "x"}',
    "status": "completed",
}  # fmt: skip
_OTHER: Json = _CALL | {"id": "fc_2", "call_id": "call_b", "name": "other", "arguments": '{"b": 2}'}
# type of item -> (what is empty at its beginning, the index of its part, the names of the part's and the text's events)
_OF_ITEM: dict[str, tuple[Json, str, str, str]] = {
    "message": ({"content": []}, "content_index", "content_part", "output_text"),
    "reasoning": ({"summary": []}, "summary_index", "reasoning_summary_part", "reasoning_summary_text"),
    "function_call": ({"arguments": ""}, "", "", "function_call_arguments"),
}


def _response(*items: Json) -> list[Event]:
    begun = _RESPONSE | {"status": "in_progress", "output": [], "usage": None, "completed_at": None}
    said: list[Json] = [{"type": f"response.{name}", "response": begun} for name in ("created", "in_progress")]
    for place, item in enumerate(items):
        said += _item(place, item)
    said.append({"type": "response.completed", "response": _RESPONSE | {"output": list(items)}})
    return [(each["type"], each | {"sequence_number": n}) for n, each in enumerate(said)]


def _item(place: int, item: Json) -> list[Json]:
    empty, index, of_part, of_text = _OF_ITEM[item["type"]]
    here: Json = {"item_id": item["id"], "output_index": place} | ({index: 0} if index else {})
    part = (item.get("content") or item.get("summary") or [{}])[0]
    text = part.get("text") or item["arguments"]
    name = "text" if index else "arguments"
    half = len(text) // 2
    said = [{"type": f"response.{of_text}.delta", "delta": piece} for piece in (text[:half], text[half:])]
    said.append({"type": f"response.{of_text}.done", name: text})
    if of_part:
        said.insert(0, {"type": f"response.{of_part}.added", "part": part | {"text": ""}})
        said.append({"type": f"response.{of_part}.done", "part": part})
    return [
        {"type": "response.output_item.added", "output_index": place, "item": item | empty | {"status": "in_progress"}},
        *(each | here for each in said),
        {"type": "response.output_item.done", "output_index": place, "item": item},
    ]


_COUNTS: Json = {
    "promptTokenCount": 20, "candidatesTokenCount": 7, "totalTokenCount": 29, "thoughtsTokenCount": 2,
    "cachedContentTokenCount": 12, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
}  # fmt: skip


def _google(*parts: list[Json], finish: str = "STOP") -> list[Event]:
    out: list[Event] = []
    for each in parts:
        said: Json = {"content": {"parts": each, "role": "model"}, "index": 0}
        said |= {"finishReason": finish} if len(out) == len(parts) - 1 else {}
        out.append(("", {"candidates": [said], "usageMetadata": _COUNTS, "modelVersion": "m", "responseId": "r"}))
    return out


def _runs(name: str, **more: Any) -> Json:
    return {"functionCall": {"name": name} | more}


BASES: dict[str, dict[str, list[Event]]] = {
    "chat": _CHAT,
    "messages": _MESSAGES,
    "responses": {
        "all": _response(_REASONING, _TEXT, _CALL, _OTHER),
        "text": _response(_TEXT),
    },
    "gemini": {
        "all": _google(
            [{"text": "so", "thought": True}], [{"text": "hi "}], [{"text": "you"}],
            [_runs("look", args={"a": "x"}, id="f1") | {"thoughtSignature": "c2ln"}], [_runs("other", args={"b": 2})],
        ),
        "text": _google([{"text": "hi "}], [{"text": "you"}], [{"text": ""}]),
        "cut": _google([{"text": "hi "}], [{"text": "you"}], finish="MAX_TOKENS"),
    },
}  # fmt: skip
