"""Requests in the form of Responses at Chat's address, with replies in Chat's form, as Cursor's agent sends them.

The history is in `input`, tools are flat, and some of them take free text (ApplyPatch). Cursor reads every call as the
call of a function. So the free text of such a call goes to Cursor as the arguments of a function, and comes back as
those.
"""

from __future__ import annotations

from typing import Any

from translate.dialect import EARLY_PING
from translate.endpoint import Endpoint, Framed
from translate.failures.errors import BadRequest
from translate.json import wire
from translate.json.json_fields import Body, list_of, object_of, objects_of, text_of

_TURNED = frozenset(("input", "instructions", "tools", "tool_choice", "reasoning", "text", "max_output_tokens"))
_LEFT = frozenset(("include", "truncation", "max_tool_calls"))  # what Chat has no word for
_KEPT_THERE = ("previous_response_id", "conversation", "prompt", "background")  # only Responses has the like
_TEXTS = ("input_text", "output_text", "text")
_ELSEWHERE = "send a request of Responses to /v1/responses"


def opened(body: Body) -> tuple[Body, list[str]]:
    """Returns the Chat body, and the names of what is left out. Raises BadRequest."""
    if "messages" in body or "input" not in body:
        return body, []
    for name in _KEPT_THERE:
        if body.get(name):
            raise BadRequest(f"{name}: Chat Completions has no such field; {_ELSEWHERE}", name)
    out = {name: value for name, value in body.items() if name not in _TURNED | _LEFT and name not in _KEPT_THERE}
    left = [name for name in body if name in _LEFT and body[name] not in (None, [], "disabled")]
    if out.get("metadata") and not out.get("store"):  # which OpenAI takes of replies alone that are kept
        left.append("metadata")
        del out["metadata"]
    if tools := list_of(body, "tools"):
        out["tools"] = [_tool(tool) for tool in tools]
    if choice := body.get("tool_choice"):
        out["tool_choice"] = _tool_choice(choice)
    out["messages"] = _Messages(body, left).out
    _settings(body, out, left)
    return out, left


def _settings(body: Body, out: Body, left: list[str]) -> None:
    reasoning, text = object_of(body, "reasoning"), object_of(body, "text")
    if reasoning.get("effort") is not None:
        out["reasoning_effort"] = reasoning["effort"]
    left += [f"reasoning.{name}" for name in reasoning if name != "effort" and reasoning[name] is not None]
    if text.get("verbosity") is not None:
        out["verbosity"] = text["verbosity"]
    wanted = object_of(text, "format")
    if wanted.get("type") == "json_schema":
        schema = {name: value for name, value in wanted.items() if name != "type" and value is not None}
        out["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted and wanted.get("type") != "text":
        out["response_format"] = wanted
    if body.get("max_output_tokens") is not None:
        out["max_completion_tokens"] = body["max_output_tokens"]


def _tool(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind not in ("function", "custom") or kind in tool:
        return tool
    inner = {name: value for name, value in tool.items() if name != "type" and value is not None}
    form = object_of(inner, "format")
    if form.get("type") == "grammar" and "grammar" not in form:
        grammar = {name: value for name, value in form.items() if name != "type"}
        inner["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": kind, kind: inner}


def _tool_choice(choice: Any) -> Any:
    kind = choice.get("type") if isinstance(choice, dict) else None
    return {"type": kind, kind: {"name": choice.get("name")}} if kind in ("function", "custom") else choice


class _Messages:
    """The history. left: gets the names of fields that have no place in it."""

    def __init__(self, body: Body, left: list[str]) -> None:
        self.out: list[Body] = []
        self._left = left
        tools = objects_of(body, "tools")
        self._free = {text_of(tool, "name") for tool in tools if tool.get("type") == "custom"}
        if instructions := text_of(body, "instructions"):
            self.out.append({"role": "system", "content": instructions})
        given = body["input"]
        if isinstance(given, str):
            given = [{"role": "user", "content": given}]
        if not isinstance(given, list):
            raise BadRequest("input: a text or a list of items is expected", "input")
        for i, item in enumerate(given):
            if not isinstance(item, dict):
                raise BadRequest(f"input[{i}]: an object is expected", "input")
            self._add(item, f"input[{i}]")

    def __repr__(self) -> str:
        return f"<_Messages {len(self.out)}>"

    def _add(self, item: Body, path: str) -> None:
        kind = item.get("type", "message")
        if kind == "message":
            content = item.get("content")
            parts = [_part(part, f"{path}.content") for part in content] if isinstance(content, list) else content
            self.out.append({**item, "content": _plain(parts)})
            for name in ("type", "id", "status", "phase"):
                self.out[-1].pop(name, None)
            if "tool_calls" in item:  # `item` may be remembered: a list of its own, as calls that follow are added
                self.out[-1]["tool_calls"] = list(list_of(item, "tool_calls"))
                if not self.out[-1]["tool_calls"]:
                    del self.out[-1]["tool_calls"]
        elif kind in ("function_call", "custom_tool_call"):
            self._call(item)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            output = item.get("output")
            parts = [_part(part, f"{path}.output") for part in output] if isinstance(output, list) else output
            self.out.append({"role": "tool", "tool_call_id": text_of(item, "call_id"), "content": _plain(parts)})
        elif kind == "reasoning":
            if "input.reasoning" not in self._left:
                self._left.append("input.reasoning")
        else:
            raise BadRequest(f"{path}.type: Chat Completions has no '{str(kind)[:100]}'; {_ELSEWHERE}", "input")

    def _call(self, item: Body) -> None:
        name, said = text_of(item, "name"), text_of(item, "arguments") or text_of(item, "input")
        call: Body = {"id": text_of(item, "call_id") or text_of(item, "id")}
        if name in self._free:
            call |= {"type": "custom", "custom": {"name": name, "input": said}}
        else:
            call |= {"type": "function", "function": {"name": name, "arguments": said}}
        last = self.out[-1] if self.out else {}
        if last.get("role") != "assistant":
            last = {"role": "assistant", "content": None}
            self.out.append(last)
        last.setdefault("tool_calls", []).append(call)


def _part(part: Any, path: str) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _TEXTS:
        return {"type": "text", "text": text_of(part, "text")}
    if kind == "input_image":
        if not (url := text_of(part, "image_url")):
            raise BadRequest(f"{path}: Chat Completions takes images by their data or URL; {_ELSEWHERE}", "input")
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": url, **detail}}
    if kind == "input_file":
        if part.get("file_url"):
            raise BadRequest(f"{path}: Chat Completions takes no file by its URL; {_ELSEWHERE}", "input")
        said = {name: part[name] for name in ("filename", "file_data", "file_id") if part.get(name)}
        return {"type": "file", "file": said}
    return part


def _plain(content: Any) -> Any:
    """Returns texts alone as one, which every server takes."""
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "\n".join(part["text"] for part in content)
    return content


# ------------------------------------------------------------------------------------------------------ its reply


class Calls:
    """See translate.dialect.Framing."""

    __slots__ = ()

    def feed(self, events: bytes) -> bytes:
        return b"".join(map(_line, events.splitlines(keepends=True))) if b'"custom"' in events else events

    def end(self) -> bytes:
        return b""

    def ping(self) -> bytes:
        return EARLY_PING


def whole(raw: bytes) -> bytes:
    return _as_functions(raw, "message") if b'"custom"' in raw else raw


def _line(line: bytes) -> bytes:
    if not line.startswith(b"data:") or b'"custom"' not in line:
        return line
    data = line[5:].strip()
    return b"data: " + _as_functions(data, "delta") + line[len(line.rstrip(b"\r\n")) :]


def _as_functions(raw: bytes, where: str) -> bytes:
    """Returns a reply, or a piece of one, whose calls are all of functions."""
    try:
        said = wire.loads(raw)
    except ValueError:
        return raw
    choices = objects_of(said, "choices") if isinstance(said, dict) else []
    for call in (call for choice in choices for call in objects_of(object_of(choice, where), "tool_calls")):
        if isinstance(custom := call.pop("custom", None), dict):
            name = {"name": custom["name"]} if custom.get("name") else {}
            call["function"] = {**name, "arguments": text_of(custom, "input")}
            if "type" in call:
                call["type"] = "function"
    return wire.dumps(said)


_FORM = Framed("text/event-stream; charset=utf-8", Calls, whole)

ENDPOINT = Endpoint("", "/v1/chat/completions", "chat/completions", framed=lambda query: _FORM, opened=opened)
