"""A Gemini request's contents as neutral turns.

A part says what it is by the field that it has. Calls and responses may come without ids; then a response belongs to
the first call of its name that waits. Each part keeps how it was written (ext["gemini.form"]), for this protocol's own
encoder. What a part says beside its content (a video's bounds, a resolution) stays in ext["gemini"].
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from translate.conversation import (
    Audio,
    Document,
    Ext,
    Image,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Unknown,
)
from translate.fields.leftovers import note_within
from translate.gemini import proofs
from translate.gemini.fields import Raw, camel, items, section, text, wrong
from translate.json import wire
from translate.tools.pairing import OpenCalls

_ROLES: dict[str, Role] = {"": "user", "user": "user", "model": "assistant", "function": "user"}
_CALL = frozenset(("id", "name", "args"))
_RESPONSE = frozenset(("id", "name", "response", "parts"))
_BLOB = frozenset(("data", "mimeType", "displayName"))
_FILE = frozenset(("fileUri", "mimeType", "displayName"))
_BESIDE = ("thought", "thoughtSignature")
_GOOGLES = re.compile(r"gs://|https://generativelanguage\.googleapis\.com/|files/")
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}


def decode_contents(contents: Any) -> list[Turn]:
    """Returns the turns. Raises BadRequest naming the field."""
    given = [contents] if isinstance(contents, dict) else contents
    if given is None or given == []:
        raise wrong("contents", "contents is not specified")
    if not isinstance(given, list):
        raise wrong("contents", "a list is expected")
    history = _History(given)
    for i, raw in enumerate(given):
        history.add(raw, f"contents[{i}]", i)
    history.ends()
    return history.turns


def instructions(given: Any) -> list[Part]:
    """Returns the parts of systemInstruction, which SDKs let be a text."""
    if given is None:
        return []
    if isinstance(given, str):
        return [Text(given)] if given else []
    if not isinstance(given, dict):
        raise wrong("systemInstruction", "an object is expected")
    content = camel(given)
    raw = items(content, "parts", "systemInstruction.") if "parts" in content else [content]
    where = "systemInstruction.parts"
    found = [part for n, each in enumerate(raw) for part in _content(_object(each, f"{where}[{n}]"), f"{where}[{n}]")]
    if found and "parts" in content:
        note_within(content, "systemInstruction", ("role", "parts"), found[0].ext)
    return found


class _History:
    def __init__(self, contents: list[Any]) -> None:
        self._waiting: OpenCalls[str] = OpenCalls()
        self._calls: set[str] = set()
        self.turns: list[Turn] = []
        self._answered = {id for each in contents for id in _answered(each)}
        self._said: _Said | None = None  # the model's turn that is on

    def __repr__(self) -> str:
        return f"<_History of {len(self._calls)} calls>"

    def add(self, given: Any, where: str, i: int) -> None:
        """Clients that keep a stream as it came have a content for each of its events: they are one turn of the
        model's."""
        raw = _object(given, where)
        role = _ROLES.get(text(raw, "role", f"{where}."))
        if role is None:
            raise wrong(f"{where}.role", f"{raw['role']!r} is none of 'user' and 'model'")
        goes_on = role == "assistant" and bool(self.turns) and self.turns[-1].role == role
        if role == "assistant" and not goes_on:
            self._waiting.step()
        if not goes_on:
            self.ends()
            left = {key: value for key, value in raw.items() if key not in ("role", "parts")}
            self.turns.append(Turn(role, [], {"gemini": left} if left else {}))
            self._said = _Said(self.turns[-1]) if role == "assistant" else None
        for n, each in enumerate(items(raw, "parts", f"{where}.")):
            given = {"text": each} if isinstance(each, str) else each
            read = self._part(_object(given, f"{where}.parts[{n}]"), f"{where}.parts[{n}]", f"{i}_{n}", role)
            for part in read:
                self._add(part)

    def ends(self) -> None:
        if self._said is not None:
            self._said.ends()

    def _add(self, part: Part) -> None:
        if self._said is not None:
            self._said.add(part)
        else:
            self.turns[-1].parts.append(part)

    def _part(self, raw: Raw, where: str, n: str, role: Role) -> list[Part]:
        if "functionCall" in raw:
            found = [self._call(raw, where, n)]
        elif "functionResponse" in raw:
            found = [self._result(raw, where, n)]
        else:
            found = _content(raw, where)
        if not (signature := text(raw, "thoughtSignature", f"{where}.")) or role != "assistant":
            return found
        if (thoughts := proofs.opened(signature)) is not None:
            return [*thoughts, *found]
        if raw.get("thought") is True:
            for part in found:
                if isinstance(part, Thinking):
                    part.signature = proofs.sealed_thought(signature)
            return found
        proof = proofs.of_google(signature, proofs.OF_CALL if "functionCall" in raw else proofs.OF_MESSAGE)
        if not found:
            proof.ext = _ext(raw, "text")
        return [proof, *found]

    def _call(self, raw: Raw, where: str, n: str) -> Part:
        call = section(raw, "functionCall", f"{where}.")
        name = text(call, "name", f"{where}.functionCall.")
        if not name:
            raise wrong(f"{where}.functionCall.name", "a name is expected")
        arguments = call.get("args")
        if arguments is not None and not isinstance(arguments, dict):
            raise wrong(f"{where}.functionCall.args", "an object is expected")
        id = text(call, "id", f"{where}.functionCall.") or f"call_{n}"
        self._calls.add(id)
        self._waiting.add(name, id)
        ext = _ext(raw, "functionCall")
        note_within(call, "functionCall", _CALL, ext)
        return ToolCall(id, name, wire.dumps_text(arguments or {}), ext)

    def _result(self, raw: Raw, where: str, n: str) -> Part:
        given = section(raw, "functionResponse", f"{where}.")
        name = text(given, "name", f"{where}.functionResponse.")
        id = text(given, "id", f"{where}.functionResponse.")
        if id not in self._calls:
            id = self._waiting.take_unnamed(name, self._answered) or id or f"call_{n}"
        response = given.get("response")
        if response is not None and not isinstance(response, dict):
            raise wrong(f"{where}.functionResponse.response", "an object is expected")
        parts, is_error = _told(response or {})
        for at, each in enumerate(items(given, "parts", f"{where}.functionResponse.")):
            inner = f"{where}.functionResponse.parts[{at}]"
            parts += _named(_content(piece := _object(each, inner), inner), piece)
        ext = _ext(raw, "functionResponse")
        note_within(given, "functionResponse", _RESPONSE, ext)
        return ToolResult(id, parts, is_error, ext)


def _named(parts: list[Part], raw: Raw) -> list[Part]:
    """Returns what stands beside a response, by the name under which that refers to it ({"$ref": NAME}). Documents have
    a title for it."""
    name = next((name for key in _READERS if (name := text(section(raw, key), "displayName"))), "")
    return parts if not name or not parts or isinstance(parts[0], Document) else [Text(f"[{name}]"), *parts]


def _answered(content: Any) -> list[str]:
    """Returns the ids that responses name themselves."""
    parts = content.get("parts") if isinstance(content, dict) else None
    found = []
    for part in parts if isinstance(parts, list) else []:
        said = part.get("functionResponse", part.get("function_response")) if isinstance(part, dict) else None
        if isinstance(said, dict) and isinstance(id := said.get("id"), str):
            found.append(id)
    return found


class _Said:
    """A turn of the model's on its way. The thoughts in a seal of ours came before the texts in front of its part. The
    client may have shown their words already; they count once. Texts in a row are pieces of one."""

    def __init__(self, turn: Turn) -> None:
        self._parts = turn.parts
        self._thoughts: list[Part] = []
        self._texts: list[Text | Thinking] = []

    def __repr__(self) -> str:
        return f"<_Said {len(self._parts)} parts>"

    def add(self, part: Part) -> None:
        if isinstance(part, Thinking) and _is_of_a_seal(part):
            self._thoughts.append(part)
        elif isinstance(part, Text | Thinking):
            self._texts.append(part)
        else:
            self.ends()
            self._parts.append(part)

    def ends(self) -> None:
        texts = self._texts
        if self._thoughts:
            texts = [part for part in texts if isinstance(part, Text) or part.signature or part.encrypted]
        self._parts += self._thoughts
        for _, pieces in itertools.groupby(texts, _kind):
            self._parts += _joined(list(pieces))
        self._thoughts, self._texts = [], []


def _is_of_a_seal(part: Thinking) -> bool:
    return "gemini.form" not in part.ext and not part.encrypted.startswith(proofs.GOOGLES)


def _kind(part: Text | Thinking) -> tuple[type, bool]:
    return type(part), isinstance(part, Thinking) and bool(part.signature or part.encrypted)


def _joined(pieces: list[Text | Thinking]) -> list[Text | Thinking]:
    first = pieces[0]
    if len(pieces) == 1 or _kind(first)[1]:
        return pieces
    raws = [raw for part in pieces for raw in part.ext.get("gemini.form", {}).get("raws", ())]
    ext: Ext = {}
    for part in pieces:
        ext |= part.ext
    return [replace(first, text="".join(part.text for part in pieces), ext=ext | {"gemini.form": {"raws": raws}})]


def _told(response: dict[str, Any]) -> tuple[list[Part], bool]:
    """Returns a function's response as a model reads it: a lone text as it is, anything else as JSON. Google's words
    for what came of it are output and error; its SDK's for the former is result."""
    is_error = response.keys() == {"error"}
    if len(response) == 1:
        key, value = next(iter(response.items()))
        if key in ("output", "result", "error", "content") and isinstance(value, str):
            return ([Text(value)] if value else []), is_error
    return ([Text(wire.dumps_text(response))] if response else []), is_error


# ------------------------------------------------------------------------------------------------- content


def _content(raw: Raw, where: str) -> list[Part]:
    if raw.get("thought") is True and "functionCall" not in raw:  # also a picture or code, as a draft of what follows
        form: Ext = _ext(raw, "text") if "text" in raw else {"gemini.form": {"raws": [raw]}}
        return [Thinking(text(raw, "text", f"{where}."), ext=form)]
    if isinstance(said := raw.get("text"), str):
        return [Text(said, _ext(raw, "text"))] if said else []
    for kind, read in _READERS.items():
        if kind in raw:
            return [read(raw, where)]
    known = [key for key in raw if key not in _BESIDE]
    if not known:
        return []
    said = {key: raw[key] for key in known}
    return [Unknown("gemini", {"type": known[0], **said}, {"gemini.form": {"raws": [raw]}})]


def _blob(raw: Raw, where: str) -> Part:
    blob = section(raw, "inlineData", f"{where}.")
    data, kind = text(blob, "data", f"{where}.inlineData."), text(blob, "mimeType", f"{where}.inlineData.").lower()
    if not data:
        raise wrong(f"{where}.inlineData.data", "base64 is expected")
    if not kind:
        raise wrong(f"{where}.inlineData.mimeType", "a media type is expected")
    data = data.replace("-", "+").replace("_", "/")  # Google takes both alphabets
    family, _, form = kind.partition(";")[0].partition("/")
    ext, title = _ext(raw, "inlineData"), text(blob, "displayName")
    note_within(blob, "inlineData", _BLOB, ext)
    if family == "image":
        return Image(data=data, media_type=kind, ext=ext)
    if family == "audio":
        return Audio(data, _FORMATS.get(form, form), ext)
    if family == "video":
        return Unknown("gemini", {"type": "video", **raw}, ext)
    return Document(data=data, media_type=kind, title=title, ext=ext)


def _file(raw: Raw, where: str) -> Part:
    file = section(raw, "fileData", f"{where}.")
    uri, kind = text(file, "fileUri", f"{where}.fileData."), text(file, "mimeType", f"{where}.fileData.").lower()
    if not uri:
        raise wrong(f"{where}.fileData.fileUri", "an address is expected")
    ext, title = _ext(raw, "fileData"), text(file, "displayName")
    note_within(file, "fileData", _FILE, ext)
    if kind.startswith(("video/", "audio/")) or "youtube.com/" in uri or "youtu.be/" in uri:
        return Unknown("gemini", {"type": "video" if "audio" not in kind else "audio", **raw}, ext)
    id, url = (uri, "") if _GOOGLES.match(uri) else ("", uri)
    if kind.startswith("image/"):
        return Image(url=url, file_id=id, ext=ext)
    return Document(url=url, file_id=id, title=title, ext=ext)


_READERS: dict[str, Callable[[Raw, str], Part]] = {"inlineData": _blob, "fileData": _file}


def _ext(raw: Raw, kind: str) -> Ext:
    """Returns what a part says besides its content, and how it was written."""
    left = {key: value for key, value in raw.items() if key != kind and key not in _BESIDE}
    return ({"gemini": left} if left else {}) | {"gemini.form": {"raws": [raw]}}


def _object(raw: Any, where: str) -> Raw:
    if not isinstance(raw, dict):
        raise wrong(where, "an object is expected")
    return camel(raw)
