"""A reply's output items for a Responses client, as bytes: what streams and whole replies are both made of.

Texts arrive as insides of JSON strings and are copied into the items as they are. A reply is a row of items: a
message (its texts and refusals), reasoning, a function_call, a custom_tool_call, or an item of a Responses upstream's
own. Ids are made of the request's key and the item's place: msg_KEY_0, fc_KEY_1. `response` is the object around
them, which the first and the last events of a stream carry, and which a whole reply is.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Refusal, Text, ToolCall
from translate.json import wire
from translate.target import Asked

IN_PROGRESS, COMPLETED, INCOMPLETE = b"in_progress", b"completed", b"incomplete"
_STATUS = {True: COMPLETED, False: IN_PROGRESS}

# What the response object says of the request; the types of the SDK and of Open Responses want all of it to be there.
REST: dict[str, Any] = {
    "background": False, "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {},
    "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None, "safety_identifier": None,
    "reasoning": {"effort": None, "summary": None}, "temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0,
    "frequency_penalty": 0.0, "top_logprobs": 0, "store": True, "service_tier": "default",
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "truncation": "disabled", "user": None,
}  # fmt: skip
_REST_WRITTEN = wire.dumps(REST)[1:-1]
_ECHOED: dict[str, tuple[type, ...]] = {
    "max_output_tokens": (int,), "max_tool_calls": (int,), "parallel_tool_calls": (bool,), "prompt_cache_key": (str,),
    "previous_response_id": (str,), "safety_identifier": (str,), "temperature": (int, float), "top_p": (int, float),
    "presence_penalty": (int, float), "frequency_penalty": (int, float), "top_logprobs": (int,), "store": (bool,),
    "user": (str,), "truncation": (str,), "tool_choice": (str, dict), "metadata": (dict,),
}  # fmt: skip
_NO_SCHEMA: dict[str, Any] = {"description": None, "strict": False}  # what a format that is a schema has at any rate


def echo(said: dict[str, Any]) -> dict[str, Any]:
    """Returns what a request says that its response says again: all but the long instructions and tools. Clients read
    by it what they have got: LangChain takes a text for JSON only where `text` says so."""
    echoed = {key: said[key] for key, kinds in _ECHOED.items() if isinstance(said.get(key), kinds)}
    if isinstance(text := said.get("text"), dict):
        echoed["text"] = _text(text)
    if isinstance(reasoning := said.get("reasoning"), dict):
        words = {key: value for key, value in reasoning.items() if isinstance(value, str)}
        echoed["reasoning"] = REST["reasoning"] | words
    return echoed


def _text(said: dict[str, Any]) -> dict[str, Any]:
    form = said.get("format")
    if not isinstance(form, dict):
        form = REST["text"]["format"]
    elif form.get("type") == "json_schema":
        form = _NO_SCHEMA | {key: value for key, value in form.items() if value is not None}
    return {"format": form} | ({"verbosity": said["verbosity"]} if isinstance(said.get("verbosity"), str) else {})


def response(
    asked: Asked,
    status: str,
    output: list[bytes],
    error: Any = None,
    incomplete: str = "",
    usage: dict[str, Any] | None = None,
    told: dict[str, Any] | None = None,
) -> bytes:
    """Returns the response object. output: items as JSON. incomplete: the reason, with the status of that name.
    told: what else the upstream says of it."""
    now = asked.clock() if asked.clock is not None else asked.created
    head = wire.dumps({
        "id": f"resp_{asked.key}",
        "object": "response",
        "created_at": asked.created,
        "completed_at": now if status == "completed" else None,
        "status": status,
        "error": error,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "model": asked.model,
    })[:-1]  # fmt: skip
    rest = wire.dumps(REST | asked.echo | (told or {}))[1:-1] if asked.echo or told else _REST_WRITTEN
    return b'%b,"output":[%b],"usage":%b,%b}' % (head, b",".join(output), wire.dumps(usage), rest)


def item_id(prefix: str, asked: Asked, place: int) -> str:
    return f"{prefix}_{asked.key}_{place}"


def text_part(text: bytes, annotations: list[Any] | None = None, logprobs: bytes = b"[]") -> bytes:
    notes = wire.dumps(annotations or [])
    return b'{"type":"output_text","annotations":%b,"logprobs":%b,"text":"%b"}' % (notes, logprobs, text)


def refusal_part(text: bytes) -> bytes:
    return b'{"type":"refusal","refusal":"%b"}' % text


def summary_part(text: bytes) -> bytes:
    return b'{"type":"summary_text","text":"%b"}' % text


def message(id: str, parts: list[bytes], part: Text | Refusal, status: bytes) -> bytes:
    """Returns a message. phase goes with it where a Responses upstream named one."""
    phase = part.ext.get("responses", {}).get("phase")
    more = b',"phase":' + wire.dumps(phase) if phase else b""
    head = b'{"id":%b,"type":"message","status":"%b","role":"assistant"%b,"content":[%b]}'
    return head % (wire.dumps(id), status, more, b",".join(parts))


def reasoning(id: str, parts: list[bytes], encrypted: str, done: bool) -> bytes:
    head = b'{"id":%b,"type":"reasoning","summary":[%b]%b%b}'
    more = b',"encrypted_content":' + wire.dumps(encrypted) if encrypted else b""
    return head % (wire.dumps(id), b",".join(parts), more, b',"status":"%b"' % _STATUS[done])


def call(id: str, call_id: str, name: str, part: ToolCall, text: bytes, status: bytes) -> bytes:
    """Returns a function_call or a custom_tool_call."""
    kind, key = (b"custom_tool_call", b"input") if part.custom else (b"function_call", b"arguments")
    space = b',"namespace":' + wire.dumps(part.namespace) if part.namespace else b""
    head = b'{"id":%b,"type":"%b","status":"%b","call_id":%b,"name":%b%b,"%b":"%b"}'
    return head % (wire.dumps(id), kind, status, wire.dumps(call_id), wire.dumps(name), space, key, text)
