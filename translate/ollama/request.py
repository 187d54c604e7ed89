"""Requests in Ollama's own form (/api/chat, /api/generate) as Chat requests.

Ollama streams unless it is told not to, keeps what it draws words by in `options`, has a call's arguments as an object
and calls without ids. What only a server has that loads models itself (num_ctx, keep_alive) is left out, and named.
Source: github.com/ollama/ollama, docs/api.md.
"""

from __future__ import annotations

from typing import Any

from translate.failures.errors import BadRequest
from translate.json import wire
from translate.json.json_fields import Body, is_number, list_of, object_of, objects_of, text_of
from translate.parts import pictures, readable
from translate.parts.readable_parts import DRAWN
from translate.reasoning import effort
from translate.tools import json_mode
from translate.tools.pairing import OpenCalls

_OPTIONS = {
    "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "seed": "seed", "stop": "stop",
    "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
}  # fmt: skip
_CHAT = frozenset(("model", "messages", "tools", "stream", "format", "options", "think"))
_GENERATE = frozenset(("model", "prompt", "system", "images", "stream", "format", "options", "think"))
_SILENT = frozenset(("keep_alive", "name", "truncate", "shift"))  # about a server's memory


def of_chat(body: Body) -> tuple[Body, list[str]]:
    """Returns the Chat body, and the names of what is left out. Raises BadRequest."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("messages: a list of messages is expected", "messages")
    out, left = _common(body, _CHAT)
    out["messages"] = _in_words(_Messages(messages).out, out)
    if tools := list_of(body, "tools"):
        out["tools"] = tools
    return out, left


def of_generate(body: Body) -> tuple[Body, list[str]]:
    """The same of a prompt."""
    prompt = text_of(body, "prompt")
    out, left = _common(body, _GENERATE)
    said: list[Body] = [{"role": "user", "content": _content(prompt, list_of(body, "images"))}]
    if system := text_of(body, "system"):
        said.insert(0, {"role": "system", "content": system})
    out["messages"] = _in_words(said, out)
    return out, left


def _common(body: Body, known: frozenset[str]) -> tuple[Body, list[str]]:
    model = text_of(body, "model") or text_of(body, "name")
    if not model:
        raise BadRequest("model: the name of a model is expected", "model")
    streams = body.get("stream") is not False
    out: Body = {"model": plain(model), "stream": streams}
    if streams:
        out["stream_options"] = {"include_usage": True}
    left = [key for key in body if key not in known and key not in _SILENT and body[key] not in (None, "", [])]
    options = object_of(body, "options")
    for name, value in options.items():
        if name in _OPTIONS and value is not None:
            out[_OPTIONS[name]] = value
        elif name != "num_predict":
            left.append(f"options.{name}")
    most = options.get("num_predict")
    if is_number(most) and most > 0:  # -1 is no bound, -2 all that is left
        out["max_tokens"] = int(most)
    _format(body.get("format"), out)
    if think := body.get("think"):
        out["reasoning_effort"] = think if isinstance(think, str) else "medium"
    elif think is False and "none" in effort.listed(out["model"], "known"):
        out["reasoning_effort"] = "none"
    elif think is False:  # Chat has no word for it that all its servers take
        left.append("think")
    return out, left


def plain(model: str) -> str:
    """Returns the name without the tag that Ollama's clients add where there is none."""
    return model.removesuffix(":latest")


def _format(wanted: Any, out: Body) -> None:
    if wanted == "json":
        out["response_format"] = {"type": "json_object"}
    elif isinstance(wanted, dict) and wanted:
        out["response_format"] = {"type": "json_schema", "json_schema": {"name": "output", "schema": wanted}}
    elif wanted not in (None, "", {}):
        raise BadRequest("format: 'json' or a JSON schema is expected", "format")


def _in_words(messages: list[Body], out: Body) -> list[Body]:
    """Returns the messages with one that asks for JSON, where it is wanted without a schema and none does."""
    if out.get("response_format", {}).get("type") != "json_object" or any(map(_says_json, messages)):
        return messages
    return [{"role": "system", "content": json_mode.ONE_OBJECT}, *messages]


def _says_json(message: Body) -> bool:
    content = message["content"]
    parts = [{"text": content}] if isinstance(content, str) else content
    return message["role"] != "assistant" and any(json_mode.is_said(part.get("text", "")) for part in parts)


class _Messages:
    """The history so far. A result may name nothing but its tool."""

    def __init__(self, messages: list[Any]) -> None:
        self.out: list[Body] = []
        self._waiting: OpenCalls[str] = OpenCalls()
        self._any: dict[str, None] = {}  # ids of calls that wait, whatever they call
        self._later: list[Body] = []  # pictures that are not the user's: Chat's servers take those of users alone
        for i, message in enumerate(messages):
            if not isinstance(message, dict):
                raise BadRequest(f"messages[{i}]: an object is expected", "messages")
            self._add(message, i)
        if self._later:
            self.out.append({"role": "user", "content": self._later})

    def __repr__(self) -> str:
        return f"<_Messages {len(self.out)}>"

    def _add(self, message: Body, i: int) -> None:
        role, text, images = text_of(message, "role"), text_of(message, "content"), list_of(message, "images")
        if role == "tool":
            id = self._called(message, i)
            if images:
                self._later += _parts(readable.OUTPUT_OF.format(id), images)
                text = "\n".join(filter(None, (text, readable.SEE_NEXT.format("image"))))
            self.out.append({"role": role, "tool_call_id": id, "content": text})
            return
        said: Body = {"role": role, "content": text if role == "assistant" else _content(text, images)}
        if role == "user" and self._later:
            said["content"], self._later = [*self._later, *_parts(text, images)], []
        if role == "assistant":
            if images:
                self._later += _parts(DRAWN, images)
            self._waiting.step()
            if thought := text_of(message, "thinking"):
                said["reasoning_content"] = thought
            calls = objects_of(message, "tool_calls")
            if calls:
                said["tool_calls"] = [self._call(call, f"call_{i}_{n}") for n, call in enumerate(calls)]
                said["content"] = said["content"] or None
        self.out.append(said)

    def _call(self, call: Body, id: str) -> Body:
        function = object_of(call, "function")
        name, arguments = text_of(function, "name"), function.get("arguments")
        id = text_of(call, "id") or id
        self._waiting.add(name, id)
        self._any[id] = None
        text = arguments if isinstance(arguments, str) else wire.dumps_text(arguments or {})
        return {"id": id, "type": "function", "function": {"name": name, "arguments": text}}

    def _called(self, message: Body, i: int) -> str:
        name = text_of(message, "tool_name") or text_of(message, "name")
        id = text_of(message, "tool_call_id") or self._waiting.take(name) or next(iter(self._any), f"call_{i}")
        self._any.pop(id, None)
        return id


def _content(text: str, images: list[Any]) -> str | list[Body]:
    parts = _parts(text, images)
    return parts if any(part["type"] != "text" for part in parts) else text


def _parts(text: str, images: list[Any]) -> list[Body]:
    parts: list[Body] = [{"type": "text", "text": text}] if text else []
    for image in images:
        if not isinstance(image, str) or not image:
            continue
        kind = pictures.media_type(image) or "image/png"
        url = image if image.startswith(("data:", "http")) else f"data:{kind};base64,{image}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts
