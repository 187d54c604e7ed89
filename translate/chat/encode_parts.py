"""Parts as the content of Chat messages: text, image_url, file and input_audio.

Some parts do not fit into Chat. They become words if words can say the same (a search result's title and address, a
plain-text document), are refused if they would be lost (a document behind another provider's file id), and are left out
and reported otherwise.
"""

from __future__ import annotations

from translate.conversation import Audio, Document, Image, Part, Refusal, Text, Thinking, ToolCall, Unknown
from translate.encode_context import Draft
from translate.failures.errors import BadRequest
from translate.fields.leftovers import breakpoint_of
from translate.json.json_fields import Body
from translate.parts import readable

_TEXT = frozenset(("type", "text"))


def content(part: Part, draft: Draft) -> list[Body]:
    """Returns a part as content parts, none for what is left out. Raises BadRequest."""
    if type(part) is Text and not part.ext and not part.citations:  # nearly all
        return [_text(part.text)]
    draft.leave_part(part)
    if raw := part.ext.get("chat.form", {}).get("raw"):
        return [raw]
    own = part.ext.get("chat", {}) | breakpoint_of(part.ext)
    match part:
        case Text():
            return [{"type": "text", "text": part.text, **own}]
        case Image():
            return [_image(part, draft) | own]
        case Document():
            about = [_text(f"[context of the document: {part.context}]")] if part.context else []
            return marked(about + _document(part, draft), part)
        case Audio():
            return [{"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}, **own}]
        case Refusal():
            return [_text(part.text)]
        case Thinking():
            return []  # it stands beside the content, if it goes back at all
        case Unknown() if part.protocol == "chat":
            return [part.raw]
    text = draft.in_words(part)
    return [_text(text)] if text else []


def marked(pieces: list[Body], part: Part) -> list[Body]:
    """Returns the pieces with OpenAI's mark for the cache, which stands at the end of what the part has become."""
    mark = breakpoint_of(part.ext)
    return [*pieces[:-1], pieces[-1] | mark] if mark and pieces else pieces


def is_private(part: Part) -> bool:
    """Tells whether the part is no content of a Chat message but a field beside it."""
    form = part.ext.get("chat.form", {})
    if isinstance(part, Thinking | Refusal):
        return "raw" not in form
    return isinstance(part, ToolCall) or "beside" in form


def flat(pieces: list[Body]) -> str | list[Body]:
    """Returns a string where all is text. Every server takes that, and many take nothing else."""
    if len(pieces) == 1 and pieces[0].keys() == _TEXT:
        text: str = pieces[0]["text"]
        return text
    if all(piece.keys() == _TEXT for piece in pieces):
        return "\n\n".join(piece["text"] for piece in pieces)
    return pieces


def _text(text: str) -> Body:
    return {"type": "text", "text": text}


def _image(image: Image, draft: Draft) -> Body:
    if image.file_id:
        raise BadRequest(
            f"messages: image {image.file_id!r} is a file of another provider; send it as base64 or by URL"
        )
    url = image.url or f"data:{image.media_type};base64,{image.data}"
    return {
        "type": "image_url",
        "image_url": {"url": url, **({"detail": image.detail} if image.detail else {})},
    }


def _document(document: Document, draft: Draft) -> list[Body]:
    if document.text:
        return [_text(readable.titled(document.title, document.text))]
    if document.parts:
        pieces = [piece for part in document.parts for piece in content(part, draft)]
        head = [_text(f"[document: {document.title}]")] if document.title else []
        return head + pieces
    if document.data:
        media_type = document.media_type or "application/pdf"
        name = document.title or "document." + media_type.rpartition("/")[2]
        data = f"data:{media_type};base64,{document.data}"
        return [{"type": "file", "file": {"filename": name, "file_data": data}}]
    if not (document.url or document.file_id):
        return []  # the text is empty
    where = f"at {document.url}" if document.url else f"{document.file_id!r}"
    raise BadRequest(f"messages: the document {where} cannot be sent to this model's upstream; send it as base64")
