"""Parts as the content of Responses messages and tool outputs: input_text, input_image, input_file.

What these cannot hold is said in words where words say it, refused where it would be lost (audio, a file behind
another provider's id), and reported where it may go. `Draft` is what an encoder keeps at hand meanwhile.
"""

from __future__ import annotations

from typing import Any

from translate import leftovers, readable, repair
from translate.conversation import (
    Audio,
    Conversation,
    Document,
    Ext,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Unknown,
)
from translate.errors import BadRequest
from translate.target import Policy

Body = dict[str, Any]

MAX_CALL_ID = 64  # OpenAI refuses a longer call_id

# What another protocol may say about a part that has no place here: reported when it is left out.
_REPORTED = (
    "cache_control", "citations", "output_config", "input_examples", "allowed_callers",
    "eager_input_streaming",
)  # fmt: skip


class Draft:
    """from_responses: the conversation goes back to the protocol it came from, and must come out the same."""

    __slots__ = ("_dropped", "from_responses", "policy", "thoughts", "tool_names")

    def __init__(self, conversation: Conversation, policy: Policy) -> None:
        self.from_responses = "responses" in conversation.ext
        self.policy = policy
        self.thoughts = leftovers.thoughts(conversation)
        self.tool_names: dict[str, str] = {}
        self._dropped: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Draft dropped {list(self._dropped)}>"

    @property
    def dropped(self) -> list[str]:
        return list(self._dropped)

    def drop(self, field: str) -> None:
        """`field` is in the client's words; each is told once."""
        self._dropped[field] = None

    def leave(self, ext: Ext) -> None:
        """Reports what of another protocol's leftovers stays behind."""
        if not self.from_responses:
            for left in ext.values():
                for field in _REPORTED:
                    if field in left:
                        self.drop(field)

    def name(self, given: str) -> str:
        """A tool's name as the upstream takes it; a changed one is remembered for the way back."""
        if self.from_responses:
            return given
        sent = repair.tool_name(given)
        if sent != given:
            self.tool_names[sent] = given
        return sent

    def call_id(self, given: str) -> str:
        return given if self.from_responses else repair.tool_id(given, MAX_CALL_ID)


def content(part: Part, draft: Draft) -> list[Body]:
    """A part as content parts of a message that is not the model's; none for what is left out. Raises BadRequest."""
    draft.leave(part.ext)
    if draft.from_responses and (raw := part.ext.get("responses.form", {}).get("raw")):
        return [raw]
    match part:
        case Text() | Refusal():
            return [{"type": "input_text", "text": part.text} | own(part)]
        case Image():
            return [_image(part, draft) | own(part)]
        case Document():
            return _document(part, draft)
        case Audio():
            raise BadRequest("input_audio: audio cannot be sent to this upstream: its protocol takes none in requests")
        case Unknown() if part.protocol == "responses":
            return [part.raw]
    text = rendered(part, draft)
    return [{"type": "input_text", "text": text}] if text else []


def own(part: Part) -> Body:
    """What Responses itself said of a part, but for what belongs to the whole message."""
    left = part.ext.get("responses", {})
    return {key: value for key, value in left.items() if key not in ("id", "status", "phase")} if left else {}


def rendered(part: Part, draft: Draft) -> str:
    """A part without a word here, in words; where there are none, its type is reported."""
    if isinstance(part, Thinking | ToolCall):
        return ""
    if not isinstance(part, Unknown):
        draft.drop(type(part).__name__.lower())
        return ""
    text = readable.unknown(part)
    if not text:
        draft.drop(part.kind)
    return text


def _image(image: Image, draft: Draft) -> Body:
    if image.file_id:
        if not draft.from_responses:
            raise BadRequest(f"image {image.file_id!r} is a file of another provider; send it as base64 or by URL")
        where = {"file_id": image.file_id}
    else:
        where = {"image_url": image.url or f"data:{image.media_type or 'image/png'};base64,{image.data}"}
    detail = image.detail or ("" if draft.from_responses else "auto")
    return {"type": "input_image", **where, **({"detail": detail} if detail else {})}


def _document(document: Document, draft: Draft) -> list[Body]:
    if document.text:
        return [{"type": "input_text", "text": readable.titled(document.title, document.text)}]
    if document.parts:
        pieces = [piece for part in document.parts for piece in content(part, draft)]
        head = [{"type": "input_text", "text": f"[document: {document.title}]"}] if document.title else []
        return head + pieces
    if document.data:
        media_type = document.media_type or "application/pdf"
        name = document.title or "document." + media_type.rpartition("/")[2]
        return [{"type": "input_file", "filename": name, "file_data": f"data:{media_type};base64,{document.data}"}]
    if document.url:
        return [{"type": "input_file", "file_url": document.url}]
    if document.file_id:
        raise BadRequest(f"document {document.file_id!r} is a file of another provider; send it as base64 or by URL")
    return []  # an empty text
