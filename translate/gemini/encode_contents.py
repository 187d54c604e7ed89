"""Neutral turns as Gemini's contents.

A conversation that came from Gemini goes back part by part as it was written. Any other is made into what Google
accepts: user and model in turn, user first; each call answered at the start of the user's next turn, by name;
instructions in mid-conversation as marked user text; thoughts only with Google's own proof, on the part that came of
them. Pictures and files of a tool's output stand behind it, since not every model reads them within.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from translate import repair
from translate.conversation import (
    Audio,
    Document,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Unknown,
)
from translate.encode_context import Draft
from translate.failures.errors import BadRequest
from translate.gemini import proofs
from translate.json import wire
from translate.json.json_fields import Body
from translate.parts import readable, readable_parts
from translate.tools.pairing import paired

_DEMANDS_PROOF = re.compile(r"gemini-(?:[3-9]|[1-9]\d)")
_MEDIA_TYPES = {"image/jpg": "image/jpeg", "": "image/png"}
_BY_NAME = {"png": "image/png", "webp": "image/webp", "gif": "image/gif", "heic": "image/heic", "heif": "image/heif"}
_PDF, _JPEG = "application/pdf", "image/jpeg"
_AUDIO = {"mp3": "mpeg"}


def contents(turns: list[Turn], draft: Draft, *, searched: bool = False) -> list[Body]:
    """Writes the turns, never none. searched: what Google's search has said beside functions goes back. Raises
    BadRequest."""
    model = _model_and_search if searched else _model
    out = _as_they_were(turns, draft) if draft.home else _made_acceptable(turns, draft, model)
    if not out:
        raise BadRequest(f"{draft.words.history}: nothing in them can be sent to this model's upstream")
    return out


def _as_they_were(turns: list[Turn], draft: Draft) -> list[Body]:
    out = []
    for turn in turns:
        parts = [part for each in turn.parts for part in _as_it_was(each, draft)]
        out.append({"role": "model" if turn.role == "assistant" else "user", "parts": parts})
    return out


def _as_it_was(part: Part, draft: Draft) -> list[Body]:
    if (raws := part.ext.get("gemini.form", {}).get("raws")) is not None:
        return list(raws)
    return [] if isinstance(part, Thinking) else _WRITERS[type(part)](part, draft)


def _made_acceptable(turns: list[Turn], draft: Draft, model: Callable[[Turn, Draft], list[Body]]) -> list[Body]:
    out: list[Body] = []
    names: dict[str, str] = {}  # of the calls in the model's last turn: once paired, no other has its results to come
    for turn in paired(readable_parts.turns(turns, draft.drop), lambda call, _: _id(call.id, draft).get("id", "")):
        draft.leave(turn.ext)
        if turn.role == "assistant":
            names = {part.id: part.name for part in turn.parts if isinstance(part, ToolCall)}
            said, role = draft.of(turn, model), "model"
        else:
            said, role = _user(turn, names, draft), "user"
        if not said:
            continue
        if out and out[-1]["role"] == role:
            out[-1]["parts"] += said
        else:
            out.append({"role": role, "parts": [*said]})
    for content in out:
        if content["role"] == "user":  # a stable sort: what came of the calls first, all else in its order
            content["parts"].sort(key=lambda part: "functionResponse" not in part)
    if out and out[0]["role"] == "model":
        out.insert(0, {"role": "user", "parts": [{"text": readable.OPENING}]})
    return out


# --------------------------------------------------------------------------------------------------- users


def _user(turn: Turn, names: dict[str, str], draft: Draft) -> list[Body]:
    out: list[Body] = []
    for part in turn.parts if draft.policy.call_ids else _in_order(turn.parts, names):
        if isinstance(part, ToolResult):
            out += _result(part, names.get(part.id, part.id), draft)
            continue
        said = parts_of(part, draft)
        if turn.role == "system":
            said = [{"text": readable.REMINDER.format(each["text"])} if "text" in each else each for each in said]
        out += said
    return out


def _in_order(parts: list[Part], names: dict[str, str]) -> list[Part]:
    """Returns the results in the order of their calls, of which nothing but the name tells them apart."""
    place = {id: n for n, id in enumerate(names)}
    return sorted(parts, key=lambda part: place.get(part.id, -1) if isinstance(part, ToolResult) else len(place))


def _result(result: ToolResult, name: str, draft: Draft) -> list[Body]:
    draft.leave_part(result)
    texts: list[str] = []
    media: list[Body] = []
    for part in result.parts:
        for written in parts_of(part, draft):
            if "text" in written:
                texts.append(written["text"])
            else:
                media.append(written)
    text = "\n".join(texts)
    said = _id(result.id, draft) | {"name": function_name(name, draft)}
    if media:
        text = "\n".join(filter(None, (text, "[its files follow]")))
        known_by = said.get("id", said["name"])  # without ids, calls of one name are told apart by their order
        media.insert(0, {"text": readable.OUTPUT_OF.format(known_by)})
    said["response"] = {"error" if result.is_error else "output": text or readable.NO_OUTPUT}
    return [{"functionResponse": said}, *media]


# --------------------------------------------------------------------------------------------------- model


def _model_and_search(turn: Turn, draft: Draft) -> list[Body]:
    return _model(turn, draft, searched=True)


def _model(turn: Turn, draft: Draft, *, searched: bool = False) -> list[Body]:
    """Writes the model's own turn. A proof goes on the part that follows it; that of a text whose place is lost, on the
    last part; and those of pictures on these in their order."""
    out: list[Body] = []
    waiting = proofs.beside(turn.ext)
    of_media: list[str] = []
    for part in turn.parts:
        draft.leave_part(part)
        if isinstance(part, Thinking):
            if signature := proofs.google_in(part):
                waiting = signature
            elif signature := proofs.media_in(part):
                of_media.append(signature)
            elif searched and (raw := proofs.searched_in(part)):
                out.append(raw)
            else:
                out += _thinking(part, draft)
            continue
        said = parts_of(part, draft, told=True)
        signature = proofs.beside(part.ext) or waiting
        if of_media and said and "inlineData" in said[0]:
            said[0]["thoughtSignature"] = of_media.pop(0)
        elif said and signature:
            said[0]["thoughtSignature"] = signature
            waiting = ""
        out += said
    if waiting and out and "thoughtSignature" not in out[-1]:
        out[-1]["thoughtSignature"] = waiting
    calls = [part for part in out if "functionCall" in part]
    if calls and _DEMANDS_PROOF.search(draft.target.model.lower()):
        if not any("thoughtSignature" in call for call in calls):
            calls[0]["thoughtSignature"] = proofs.UNSIGNED
    return out


def _thinking(part: Thinking, draft: Draft) -> list[Body]:
    """Thoughts of other models, and those that nobody signed, are of no use to Google's."""
    if signature := proofs.of_thought(part.signature):
        return [{"text": part.text, "thought": True, "thoughtSignature": signature}]
    draft.drop(draft.words.thoughts)
    return []


# --------------------------------------------------------------------------------------------------- parts


def parts_of(part: Part, draft: Draft, *, told: bool = False) -> list[Body]:
    """Returns a part as Google's, none where nothing of it may cross. told: what it leaves behind is reported already.
    Raises BadRequest."""
    if not told:
        draft.leave_part(part)
    return _WRITERS[type(part)](part, draft)


def _text(part: Text | Refusal, draft: Draft) -> list[Body]:
    return [{"text": part.text}] if part.text else []


def _image(part: Image, draft: Draft) -> list[Body]:
    if part.detail not in ("", "auto"):
        draft.drop("image_url.detail")
    if part.data:
        return [_blob(_MEDIA_TYPES.get(part.media_type, part.media_type), part.data)]
    if not part.url:
        raise _foreign(part.file_id)
    ending = part.url.partition("?")[0].rpartition(".")[2].lower()
    return [{"fileData": {"mimeType": _BY_NAME.get(ending, _JPEG), "fileUri": part.url}}]


def _document(part: Document, draft: Draft) -> list[Body]:
    about: list[Body] = [{"text": f"[context of the document: {part.context}]"}] if part.context else []
    return about + _file(part, draft)


def _file(part: Document, draft: Draft) -> list[Body]:
    head: list[Body] = [{"text": f"[document: {part.title}]"}] if part.title else []
    if part.data:
        return [*head, _blob(part.media_type or _PDF, part.data)]
    if part.text:
        return [{"text": readable.titled(part.title, part.text)}]
    if part.parts:
        return head + [written for each in part.parts for written in parts_of(each, draft)]
    if part.url:
        return [*head, {"fileData": {"mimeType": part.media_type or _PDF, "fileUri": part.url}}]
    if part.file_id:
        raise _foreign(part.file_id)
    return []


def _audio(part: Audio, draft: Draft) -> list[Body]:
    return [_blob(f"audio/{_AUDIO.get(part.format, part.format or 'wav')}", part.data)]


def _call(part: ToolCall, draft: Draft) -> list[Body]:
    arguments = wire.loads(repair.arguments(part.arguments))
    said = _id(part.id, draft) | {"name": function_name(part.name, draft), "args": arguments}
    return [{"functionCall": said}]


def _id(given: str, draft: Draft) -> Body:
    return {"id": draft.call_id(given)} if draft.policy.call_ids else {}


def _unknown(part: Unknown, draft: Draft) -> list[Body]:
    text = draft.in_words(part)
    return [{"text": text}] if text else []


def _nothing(part: Part, draft: Draft) -> list[Body]:
    return []


def _blob(media_type: str, data: str) -> Body:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _foreign(id: str) -> BadRequest:
    return BadRequest(f"file {id!r} is kept by another provider; send the content itself or a URL")


def function_name(given: str, draft: Draft) -> str:
    """Returns a function's name as Google takes it: it begins with a letter."""
    sent = draft.name(given)
    if draft.home or sent[:1].isalpha() or sent[:1] == "_":
        return sent
    draft.tool_names.pop(sent, None)
    sent = f"_{sent}"[: repair.MAX_NAME]
    draft.tool_names[sent] = given
    return sent


_WRITERS: dict[type, Callable[[Any, Draft], list[Body]]] = {
    Text: _text,
    Refusal: _text,
    Image: _image,
    Document: _document,
    Audio: _audio,
    Thinking: _nothing,
    ToolCall: _call,
    ToolResult: _nothing,
    Unknown: _unknown,
}
