"""A Responses request's input items as neutral turns.

Items are flat; turns are not. What the model wrote in one go (reasoning, messages, calls) becomes one assistant
turn, the outputs that follow become parts of one user turn, and instructions at the head are the system. What an
item says and the neutral form has no word for stays in ext["responses"]; which parts were one message is noted in
ext["responses.form"], which only this protocol's encoder reads. Items that point to what an upstream has stored are
refused: the words they stand for are not here.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from translate import recurring, repair
from translate.conversation import (
    Audio,
    Document,
    Ext,
    Image,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Unknown,
)
from translate.failures import problems
from translate.failures.errors import BadRequest
from translate.fields.leftovers import BREAKPOINT, note_mark, note_within
from translate.json.json_fields import json_in, list_of, object_of, text_of
from translate.parts import openai_media
from translate.reasoning import sealed_reasoning
from translate.responses import citations, media
from translate.responses.decode_tools import read_tools
from translate.tools.pairing import OpenCalls

Item = dict[str, Any]

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_STORED = {
    "item_reference": "refers to an item that another upstream stored; send the item itself",
}
_FILE = ("type", "filename", "file_data", "file_url", "file_id", BREAKPOINT)
_CIPHER = re.compile(r"~sealed\..*|[A-Za-z0-9+/_=-]{64,}", re.S)  # a cipher, not words


class History:
    """system, turns, and `shown`: the tools that items of the history brought along."""

    def __init__(self) -> None:
        self.system: list[Part] = []
        self.turns: list[Turn] = []
        self._sources: list[list[Any]] = []  # of what each turn is made
        self._given: set[int] = set()  # see recurring.one
        self.shown: list[Tool] = []
        self._messages = 0
        self._waiting: OpenCalls[str] = OpenCalls()  # calls by their tools
        self._answered: set[str] = set()  # call_ids that some output names

    def __repr__(self) -> str:
        return f"<History {len(self.system)} system parts, {len(self.turns)} turns>"

    def read(self, items: Any) -> None:
        """Reads the whole input. Raises BadRequest naming the item."""
        if isinstance(items, str):
            self._new(Turn("user", [Text(items)] if items else []), items)
            return
        if not isinstance(items, list):
            if items is None:
                raise problems.missing("input")
            raise problems.wrong_type("input", "a string or an array of objects", items)
        outputs = (raw for raw in items if isinstance(raw, dict) and str(raw.get("type")).endswith("_call_output"))
        self._answered = {text_of(raw, "call_id") for raw in outputs}
        for i, raw in enumerate(items):
            path = f"input[{i}]"
            if not isinstance(raw, dict):
                raise problems.wrong_type(path, "an object", raw)
            self._item(raw, path)
        recurring.gathered(self.turns, self._sources, self._given)

    def _new(self, turn: Turn, source: Any) -> None:
        self.turns.append(turn)
        self._sources.append([source])

    def _item(self, raw: Item, path: str) -> None:
        kind = raw.get("type") or ("message" if "role" in raw else None)
        if kind is None and raw.keys() - {"type"} == {"id"}:
            kind = "item_reference"
        match kind:
            case "message":
                self._message(raw, path)
            case "reasoning":
                self._add("assistant", recurring.part_of(raw, _reasoning, path, self._given), raw)
            case "function_call" | "custom_tool_call":
                call = recurring.part_of(raw, _call, path, self._given)
                self._waiting.add((call.namespace, call.name), call.id)
                self._add("assistant", call, raw)
            case "function_call_output" | "custom_tool_call_output":
                self._output(raw, path)
            case "tool_search_output" | "additional_tools":
                self._shown(raw, path)
            case str() if kind in _STORED:
                raise BadRequest(f"{path}: an item of type {kind!r} {_STORED[kind]}", path)
            case str():
                part = Unknown("responses", raw, parts=_told(raw, kind, path))
                self._add(_role(raw, kind), part, raw)
            case _:
                raise problems.missing(f"{path}.type")

    def _add(self, role: Role, part: Part, source: Any) -> None:
        """Adds a part to the turn that goes on: what the model wrote in one go, or outputs that came together."""
        if role == "user":
            self._waiting.step()
        last = self.turns[-1] if self.turns else None
        goes_on = last is not None and last.role == role
        if goes_on and last is not None and role == "user":
            goes_on = all(map(_is_output, last.parts[:1]))  # a turn that begins with an output holds nothing else
        if goes_on and last is not None:
            last.parts.append(part)
            self._sources[-1].append(source)
        else:
            self._new(Turn(role, [part]), source)

    def _message(self, raw: Item, path: str) -> None:
        role = _ROLES.get(str(raw.get("role")))
        if role is None:
            if raw.get("role") is None:
                raise problems.missing(f"{path}.role")
            known = "'user', 'assistant', 'system' and 'developer'"
            raise problems.invalid(f"{path}.role", f"{raw['role']!r} is none of {known}")
        parts = read_content(raw.get("content"), f"{path}.content")
        form = {"message": self._messages, "role": raw["role"]}
        self._messages += 1
        known_keys = ("type", "role", "content")
        left = {key: value for key, value in raw.items() if key not in known_keys and value is not None}
        for part in parts:
            part.ext["responses.form"] = part.ext.get("responses.form", {}) | form
            if left and role != "user":
                part.ext["responses"] = part.ext.get("responses", {}) | left
        if role == "system" and not self.turns:
            self.system += parts
        elif role == "assistant":
            for part in parts:
                self._add("assistant", part, raw)
        else:
            self._new(Turn(role, parts, {"responses": left} if left else {}), raw)

    def _output(self, raw: Item, path: str) -> None:
        """Reads an output. One without a call_id belongs to the call of its tool that has no other; where there is
        none, nobody asked for it (a woken automation, a goal that was set), and it is the user's word."""
        id, name, namespace = (text_of(raw, key) for key in ("call_id", "name", "namespace"))
        if not id and not name:
            raise problems.missing(f"{path}.call_id")
        if id:
            self._add("user", recurring.part_of(raw, _result, path, self._given), raw)
            return
        if its_call := self._waiting.take_unnamed((namespace, name), self._answered):
            self._add("user", replace(_result(raw, path), id=its_call), {})  # it depends on what was said before
            return
        tool = f"{namespace}.{name}" if namespace else name
        parts = read_content(raw["output"], f"{path}.output") if raw.get("output") is not None else []
        self._new(Turn("user", [Text(f"[output of {tool}]"), *parts]), {})

    def _shown(self, raw: Item, path: str) -> None:
        """Reads tools that the model is shown in mid-conversation. They are offered like the others from now on; models
        other than those of Responses read so where it happened."""
        tools = read_tools(raw.get("tools"), f"{path}.tools")
        for tool in tools:
            tool.deferred = False
            tool.ext["responses.form"] = tool.ext.get("responses.form", {}) | {"shown": True}
        self.shown += tools
        names = ", ".join(repair.flat_name(tool.namespace, tool.name) for tool in tools if tool.kind != "server")
        said = Text(f"Tools now available: {names or 'none'}.")
        self._new(Turn("system", [Unknown("responses", raw, parts=[said])]), raw)


def _role(raw: Item, kind: str) -> Role:
    """Returns whose an unknown item is: what the model is given, or what it has said and done."""
    content = list_of(raw, "content")
    given = any(isinstance(part, dict) and str(part.get("type")).startswith("input_") for part in content)
    return "user" if given or kind.endswith(("_output", "_response")) else "assistant"


def _told(raw: Item, kind: str, path: str) -> list[Part]:
    """Returns the parts by which other protocols get an unknown item: the content that it holds as a message does,
    under a head that says what it is ("[agent_message: author a, recipient b]")."""
    if kind == media.KIND:
        return media.shown_in(raw)
    content = raw.get("content")
    if not content or not isinstance(content, str | list):
        return []
    about = {key: value for key, value in raw.items() if key not in ("type", "content", "id", "status")}
    said = ", ".join(f"{key} {value}" for key, value in about.items() if isinstance(value, str) and value)
    return [Text(f"[{kind}: {said}]" if said else f"[{kind}]"), *read_content(content, f"{path}.content")]


def _is_output(part: Part) -> bool:
    """Tells whether the part is an item of its own, not content of a message."""
    return isinstance(part, ToolResult) or (isinstance(part, Unknown) and "responses.form" not in part.ext)


# --------------------------------------------------------------------------------------------------- content


def read_content(content: Any, path: str) -> list[Part]:
    """Reads a string or a list of content parts. Empty text is left out: other providers refuse it."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        raise problems.wrong_type(path, "a string or an array of objects", content)
    parts = [_part(raw, f"{path}[{i}]") for i, raw in enumerate(content)]
    for raw, part in zip(content, parts, strict=True):
        if BREAKPOINT in raw:
            note_mark(raw, BREAKPOINT, part.ext)
            part.ext.get("responses", {}).pop(BREAKPOINT, None)
    return [part for part in parts if not (isinstance(part, Text) and not part.text)]


def _part(raw: Any, path: str) -> Part:
    if not isinstance(raw, dict):
        raise problems.wrong_type(path, "an object", raw)
    match raw.get("type"):
        case "input_text" | "output_text" | "text" | "summary_text":
            if not isinstance(text := raw.get("text"), str):
                raise problems.wrong_type(f"{path}.text", "a string", text)
            if not (noted := list_of(raw, "annotations")):
                return Text(text, _left(raw, "text"))
            return Text(text, _left(raw, "text", "annotations"), list(map(citations.read, noted)))
        case "refusal":
            return Refusal(text_of(raw, "refusal"), _left(raw, "refusal"))
        case "encrypted_content" if not _CIPHER.fullmatch(said := text_of(raw, "encrypted_content")):
            # Codex takes what its model writes to another agent for a cipher; from other models it is plain text.
            return Text(said, {"responses.form": {"raw": raw}})
        case "input_image":
            return _image(raw, path)
        case "input_file":
            return _file(raw, path)
        case "input_audio" if data := text_of(sound := object_of(raw, "input_audio"), "data"):
            return Audio(data, text_of(sound, "format"), {"responses.form": {"raw": raw}})
        case None:
            raise problems.missing(f"{path}.type")
    return Unknown("responses", raw)


def _left(raw: Item, *known: str) -> Ext:
    left = {key: value for key, value in raw.items() if key not in ("type", *known) and value not in (None, [])}
    return {"responses": left} if left else {}


def _image(raw: Item, path: str) -> Part:
    url, id, detail = text_of(raw, "image_url"), text_of(raw, "file_id"), text_of(raw, "detail")
    ext = _left(raw, "image_url", "file_id", "detail")
    if id:
        return Image(file_id=id, detail=detail, ext=ext)
    if not url:
        raise problems.missing(f"{path}.image_url")
    part = openai_media.image(url, detail, ext)
    if not openai_media.is_as_given(part, url):
        part.ext["responses.form"] = {"raw": raw}
    return part


def _file(raw: Item, path: str) -> Part:
    title, data, url = text_of(raw, "filename"), text_of(raw, "file_data"), text_of(raw, "file_url")
    form: Ext = {"responses.form": {"raw": raw}}
    note_within(raw, "input_file", _FILE, form)
    if url:
        return Document(url=url, title=title, ext=form)
    if not data:
        if not (id := text_of(raw, "file_id")):
            raise problems.missing(f"{path}.file_data")
        return Document(file_id=id, title=title, ext=form)
    return openai_media.document(data, title, form, f"{path}.file_data")


# ------------------------------------------------------------------------------------------- thoughts and calls


def said_in(item: Item) -> str:
    """Returns a reasoning item's readable text: the model's own words where it gives them, else their summary."""
    for key, between in (("content", ""), ("summary", "\n\n")):
        given = item.get(key)
        said = given if isinstance(given, list) else [given]  # a lone text, or bare ones, with some servers
        texts = [raw if isinstance(raw, str) else text_of(raw, "text") for raw in said if isinstance(raw, str | dict)]
        if any(texts):
            return between.join(texts)
    return ""


def _reasoning(raw: Item, path: str) -> Thinking:
    part = sealed_reasoning.thinking_in(text_of(raw, "encrypted_content"), text_of(raw, "id"), said_in(raw))
    part.ext["responses.form"] = {"raw": raw}
    return part


def _call(raw: Item, path: str) -> ToolCall:
    is_custom = raw["type"] == "custom_tool_call"
    for key in ("call_id", "name"):
        if not text_of(raw, key):
            raise problems.missing(f"{path}.{key}")
    text = "input" if is_custom else "arguments"
    known = ("type", "call_id", "name", "namespace", text)
    left = {key: value for key, value in raw.items() if key not in known and value is not None}
    return ToolCall(
        text_of(raw, "call_id"),
        text_of(raw, "name"),
        json_in(raw, text),
        {"responses": left} if left else {},
        custom=is_custom,
        namespace=text_of(raw, "namespace"),
        runs_on=raw.get("async") is True,
    )


def _result(raw: Item, path: str) -> ToolResult:
    output = raw.get("output")
    parts = read_content(output, f"{path}.output") if output is not None else []
    known = ("type", "call_id", "output")
    ext: Ext = {}
    if left := {key: value for key, value in raw.items() if key not in known and value is not None}:
        ext["responses"] = left
    if raw["type"] == "custom_tool_call_output":
        ext["responses.form"] = {"custom": True}
    return ToolResult(text_of(raw, "call_id"), parts, ext=ext)
