"""A Chat request's messages as neutral turns.

Instructions at the head are the system; tool messages become parts of a user turn. What Chat says and the
neutral form has no word for stays in ext["chat"], under its own name; how a thing was written (a list of
parts or a string, the name of the reasoning field) in ext["chat.form"], which only this protocol's encoder
reads.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from translate import late, recurring
from translate.chat import details, foreign_blocks, media
from translate.conversation import (
    Audio,
    Document,
    Ext,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Unknown,
)
from translate.failures import problems
from translate.fields.leftovers import BREAKPOINT, CACHE_CONTROL, WITHIN, note_mark, note_within
from translate.json.json_fields import arguments_in, json_in, object_of, objects_of, text_of, thought
from translate.parts import openai_media
from translate.tools.pairing import OpenCalls

_ADDRESS = late.pattern(r"[a-z][a-z0-9+.-]{1,31}://", re.I)  # base64 has no colon


def decode_messages(messages: Any) -> tuple[list[Part], list[Turn]]:
    """Returns (system parts, turns). Raises BadRequest naming the field."""
    if messages is None:
        raise problems.missing("messages")
    if not isinstance(messages, list):
        raise problems.wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise problems.invalid("messages", "empty array. Expected an array with minimum length 1")
    history = _History(messages)
    for i, raw in enumerate(messages):
        history.add(raw, i)
    recurring.gathered(history.turns, history.sources, history.given)
    return history.system, history.turns


class _History:
    """What has been read so far. Calls wait by their functions' names: a result may name nothing else (the older
    function_call has no id at all). They wait by "" as well, for results that name nothing: clients of servers that
    take these, such as Writer and z.ai, send them in the calls' order."""

    def __init__(self, messages: list[Any]) -> None:
        self.system: list[Part] = []
        self.turns: list[Turn] = []
        self.sources: list[list[Any]] = []  # of what each turn is made
        self._waiting: OpenCalls[str] = OpenCalls()
        self.given: set[int] = set()  # see recurring.one
        self._answered = {text_of(raw, "tool_call_id") for raw in messages if isinstance(raw, dict)}

    def __repr__(self) -> str:
        return f"<_History {len(self.system)} system parts, {len(self.turns)} turns>"

    def add(self, raw: Any, i: int) -> None:
        path = f"messages[{i}]"
        if not isinstance(raw, dict):
            raise problems.wrong_type(path, "an object", raw)
        if type(content := raw.get("content")) is list:
            for part in content:
                if type(part) is dict and part.get("type") in foreign_blocks.BLOCKS:
                    for each in foreign_blocks.expanded(raw):
                        self.add(each, i)
                    return
        if raw.get("role") != "assistant":
            self._waiting.step()
        match raw.get("role"):
            case "system" | "developer":
                self._instruction(raw, i, path)
            case "user":
                self._add(recurring.one(raw, _user, path, self.given), raw)
            case "assistant":
                self._assistant(raw, i, path)
            case "tool" | "function":
                self._result(raw, path)
            case None:
                raise problems.missing(f"{path}.role")
            case role:
                known = "'system', 'developer', 'user', 'assistant', 'tool' and 'function'"
                raise problems.invalid(f"{path}.role", f"{role!r} is none of {known}")

    def _add(self, turn: Turn, source: Any) -> None:
        self.turns.append(turn)
        self.sources.append([source])

    def _instruction(self, raw: dict[str, Any], i: int, path: str) -> None:
        parts = _content(raw, path)
        ext = _ext(raw, parts, "content")
        if self.turns:
            self._add(Turn("system", parts, ext, text_of(raw, "name")), raw)
            return
        if isinstance(first := next((part for part in parts if isinstance(part, Text)), None), Text):
            first.author = text_of(raw, "name")
        fields = ext.get("chat", {})
        for part in parts:
            part.ext["chat.form"] = {"message": i, **ext.get("chat.form", {}), "fields": fields}
            if fields:
                part.ext[WITHIN] = part.ext.get(WITHIN, {}) | fields
        self.system += parts

    def _assistant(self, raw: dict[str, Any], i: int, path: str) -> None:
        calls = objects_of(raw, "tool_calls")
        if isinstance(raw.get("function_call"), dict) or not all(text_of(call, "id") for call in calls):
            turn, source = _assistant(raw, path, f"call_{i}"), {}  # its place gives the ids
        else:
            turn, source = recurring.one(raw, _assistant, path, self.given), raw
        for part in turn.parts:
            if isinstance(part, ToolCall):
                self._waiting.add(part.name, part.id)
                self._waiting.add("", part.id)
        self._add(turn, source)

    def _result(self, raw: dict[str, Any], path: str) -> None:
        id, name = text_of(raw, "tool_call_id"), text_of(raw, "name")
        result, source = recurring.part_of(raw, _result, path, self.given), raw
        if not id:  # it depends on what was said before
            its_call = self._waiting.take_unnamed(name, self._answered)
            if not its_call and not name and raw["role"] == "tool":
                raise problems.missing(f"{path}.tool_call_id")
            result, source = replace(result, id=its_call or f"call_{name}"), {}
            self._answered.add(result.id)
        last = self.turns[-1] if self.turns else None
        # If a turn begins with a result, all of its parts are results.
        if last is not None and last.role == "user" and all(isinstance(p, ToolResult) for p in last.parts[:1]):
            if last.known is not None:  # others will read it, too
                last = self.turns[-1] = replace(last, parts=[*last.parts])
            last.parts.append(result)
            self.sources[-1].append(source)
        else:
            self._add(Turn("user", [result]), source)


# ---------------------------------------------------------------------------------------- messages of their own


def _user(raw: dict[str, Any], path: str) -> Turn:
    parts = _content(raw, path)
    if "images" in raw:
        parts += media.of_message(raw)
    return Turn("user", parts, _ext(raw, parts, "role", "content"), text_of(raw, "name"))


def _assistant(raw: dict[str, Any], path: str, id: str = "") -> Turn:
    """id: of the call in the older form, which has none, and the beginning of those that other calls lack."""
    parts, field = _thoughts(raw)
    parts += _content(raw, path, required=False)
    if refusal := text_of(raw, "refusal"):
        parts.append(Refusal(refusal))
    calls = raw.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise problems.wrong_type(f"{path}.tool_calls", "an array of objects", calls)
    parts += [_call(call, f"{path}.tool_calls[{n}]", id and f"{id}_{n}") for n, call in enumerate(calls or ())]
    if isinstance(legacy := raw.get("function_call"), dict):
        call = ToolCall(id, text_of(legacy, "name"), arguments_in(legacy), {"chat.form": {"legacy": True}})
        note_within(legacy, "function_call", _CALLED, call.ext)
        parts.append(call)
    if "images" in raw:
        parts += media.of_message(raw)
    known = ("role", "content", "refusal", "tool_calls", "function_call", *_REASONING)
    turn = Turn("assistant", parts, _ext(raw, parts, *known), text_of(raw, "name"))
    if field:
        turn.ext.setdefault("chat.form", {})["reasoning"] = field
    return turn


def _result(raw: dict[str, Any], path: str) -> ToolResult:
    """Reads a result, without an id where it has none. is_error comes from the blocks of Messages: Chat has no such
    word."""
    parts = _content(raw, path, required=False)
    if "images" in raw:
        parts += media.of_message(raw)
    ext = _ext(raw, [], "role", "content", "tool_call_id", "is_error")
    result = ToolResult(text_of(raw, "tool_call_id"), parts, raw.get("is_error") is True, ext)
    if raw["role"] == "function":
        result.ext.setdefault("chat.form", {})["legacy"] = True
    if CACHE_CONTROL in raw:
        note_mark(raw, CACHE_CONTROL, result.ext)
    return result


# ------------------------------------------------------------------------------------------------- content


def _content(raw: dict[str, Any], path: str, required: bool = True) -> list[Part]:
    """Returns a message's content, a string or a list of parts. Empty text is left out: other providers refuse it."""
    content = raw.get("content")
    path += ".content"
    if isinstance(content, str):
        return [Text(content)] if content else []
    if isinstance(content, list):
        parts = [_part(part, f"{path}[{i}]") for i, part in enumerate(content)]
        return [part for part in parts if not (isinstance(part, Text) and not part.text)]
    if content is None and not required:
        return []
    raise problems.wrong_type(path, "a string or an array of objects", content)


def _part(raw: Any, path: str) -> Part:
    if isinstance(raw, str):
        return Text(raw)
    if not isinstance(raw, dict):
        raise problems.wrong_type(path, "an object", raw)
    if "source" in raw:
        raw = foreign_blocks.part_of(raw)
    kind = raw.get("type")
    if kind is None:
        raise problems.missing(f"{path}.type")
    if isinstance(kind, str) and kind in _OF_RESPONSES:
        kind = _OF_RESPONSES[kind]
        raw = raw | {"type": kind}
    reader = _READERS.get(str(kind))
    part = reader(raw, path) if reader else Unknown("chat", raw)
    if reader:
        if rest := {key: value for key, value in raw.items() if key not in _READ and key != kind}:
            part.ext.setdefault("chat", {}).update(rest)
        if type(inner := raw.get(kind)) is dict:
            note_within(inner, str(kind), _INNER, part.ext)
    if BREAKPOINT in raw:
        note_mark(raw, BREAKPOINT, part.ext)
    if CACHE_CONTROL in raw:
        note_mark(raw, CACHE_CONTROL, part.ext)
    return part


def _text(raw: dict[str, Any], path: str) -> Part:
    if not isinstance(text := raw.get("text"), str):
        raise problems.wrong_type(f"{path}.text", "a string", text)
    return Text(text)


def _refusal(raw: dict[str, Any], path: str) -> Part:
    return Refusal(text_of(raw, "refusal"), {"chat.form": {"raw": raw}})


def _thinking(raw: dict[str, Any], path: str) -> Part:
    return Thinking(thought(raw), details.signature_in(raw), ext={"chat.form": {"raw": raw}})


def _image(raw: dict[str, Any], path: str) -> Part:
    image = raw.get("image_url")
    url, detail = (image, "") if isinstance(image, str) else (None, "")
    if isinstance(image, dict):
        url, detail = image.get("url"), text_of(image, "detail")
    if not isinstance(url, str) or not url:
        raise problems.missing(f"{path}.image_url.url")
    part = openai_media.image(url, detail, {})
    if not openai_media.is_as_given(part, url):
        part.ext["chat.form"] = {"raw": raw}
    return part


def _file(raw: dict[str, Any], path: str) -> Part:
    file = raw.get("file")
    if file is None and text_of(raw, "file_id"):  # Mistral
        file = raw
    if not isinstance(file, dict):
        raise problems.missing(f"{path}.file")
    title, data = text_of(file, "filename"), text_of(file, "file_data")
    if not data:
        if not (id := text_of(file, "file_id")):
            raise problems.missing(f"{path}.file.file_data")
        return Document(file_id=id, title=title, ext={"chat.form": {"raw": raw}})
    return _document(data, title, raw, f"{path}.file.file_data")


def _file_at(raw: dict[str, Any], path: str) -> Part:
    """Reads Mistral's document_url, and the file_url of Perplexity and z.ai."""
    title = text_of(raw, "document_name") or text_of(raw, "file_name")
    return _document(_url_in(raw, path), title, raw, f"{path}.{raw['type']}")


def _url_in(raw: dict[str, Any], path: str) -> str:
    """Reads the address that stands under the name of the part's type, as a text or in an object."""
    said = raw.get(raw["type"])
    url = said if isinstance(said, str) else text_of(object_of(raw, raw["type"]), "url")
    if not url:
        raise problems.missing(f"{path}.{raw['type']}")
    return url


def _document(data: str, title: str, raw: dict[str, Any], field: str) -> Document:
    """data: an address, a data URL, or bare base64."""
    form: Ext = {"chat.form": {"raw": raw}}
    if _ADDRESS.match(data):
        return Document(url=data, title=title, ext=form)
    return openai_media.document(data, title, form, field)


def _film(raw: dict[str, Any], path: str) -> Part:
    """Reads the video_url of OpenRouter, vLLM and z.ai, and vLLM's audio_url."""
    kind = raw["type"].partition("_")[0]
    return openai_media.film(_url_in(raw, path), kind, {"chat.form": {"raw": raw}})


def _audio(raw: dict[str, Any], path: str) -> Part:
    audio = raw.get("input_audio")
    if isinstance(audio, str):  # Mistral
        return Audio(audio, "", {"chat.form": {"raw": raw}})
    if not isinstance(audio, dict) or not isinstance(data := audio.get("data"), str):
        raise problems.missing(f"{path}.input_audio.data")
    return Audio(data, text_of(audio, "format"))


_READERS = {
    "text": _text,
    "refusal": _refusal,
    "thinking": _thinking,
    "image_url": _image,
    "file": _file,
    "document_url": _file_at,
    "file_url": _file_at,
    "video_url": _film,
    "audio_url": _film,
    "input_audio": _audio,
}
# Parts that clients take from the other protocol of OpenAI's.
_OF_RESPONSES = {"input_text": "text", "output_text": "text", "input_image": "image_url"}
# What of a part's fields is read, besides the one that is called as its type.
_READ = frozenset(("type", "signature", BREAKPOINT, "file_id", "document_name", "file_name"))
_INNER = frozenset(("url", "detail", "filename", "file_data", "file_id", "data", "format"))  # of that one's object
_CALLED = frozenset(("name", "arguments", "input"))


# ------------------------------------------------------------------------------------- thoughts and calls

_REASONING = ("reasoning_content", "reasoning", "reasoning_details", details.BLOCKS)


def _thoughts(raw: dict[str, Any]) -> tuple[list[Part], str]:
    """Returns an assistant message's reasoning, and the field that held it as a string. Entries in reasoning_details
    say the same and more."""
    field = next((key for key in _REASONING[:2] if text_of(raw, key)), "")
    entries = raw.get(details.BLOCKS) or raw.get("reasoning_details")
    if isinstance(entries, list) and (parts := details.read(entries)):
        return [*parts], field
    return ([Thinking(raw[field])] if field else []), field


def _call(raw: Any, path: str, otherwise: str) -> ToolCall:
    """otherwise: its id if it has none."""
    if not isinstance(raw, dict):
        raise problems.wrong_type(path, "an object", raw)
    kind = "custom" if raw.get("type") == "custom" else "function"
    function = raw.get(kind)
    if not isinstance(function, dict) or not (name := text_of(function, "name")):
        raise problems.missing(f"{path}.{kind}.name")
    is_custom = kind == "custom"
    id, arguments = text_of(raw, "id") or otherwise, json_in(function, "input") if is_custom else arguments_in(function)
    call = ToolCall(id, name, arguments, custom=is_custom)
    if rest := {key: value for key, value in raw.items() if key not in ("id", "type", kind)}:
        call.ext["chat"] = rest
        _note_proof(raw, call.ext)
    if not function.keys() <= _CALLED:
        note_within(function, kind, _CALLED, call.ext)
    if CACHE_CONTROL in raw:
        note_mark(raw, CACHE_CONTROL, call.ext)
    return call


# ------------------------------------------------------------------------------------------------------ ext


def _ext(raw: dict[str, Any], parts: list[Part], *known: str) -> Ext:
    """Returns what a message says besides the `known` fields. Its cache_control counts for its last part."""
    ext: Ext = {}
    if rest := {key: value for key, value in raw.items() if key not in known and value is not None}:
        ext["chat"] = rest
        _note_proof(raw, ext)
    if isinstance(raw.get("content"), list):
        ext["chat.form"] = {"parts": True}
    if parts and CACHE_CONTROL in raw:
        note_mark(raw, CACHE_CONTROL, ext)
        note_mark(raw, CACHE_CONTROL, parts[-1].ext)
    return ext


def _note_proof(raw: dict[str, Any], ext: Ext) -> None:
    """Puts what Google has signed of a call or a message where its own protocol looks for it, too."""
    if isinstance(said := raw.get("extra_content"), dict):
        ext["proof"] = {"extra_content": said}
