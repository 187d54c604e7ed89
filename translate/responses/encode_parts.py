"""Parts as the content of Responses messages and tool outputs: input_text, input_image, input_file.

Some parts do not fit into these. They become words if words can say the same, are refused if they would be lost (audio,
a file behind another provider's id), and are left out and reported otherwise. `Draft` is what an encoder keeps at hand
meanwhile.
"""

from __future__ import annotations

from translate.conversation import (
    Audio,
    Document,
    Image,
    Part,
    Refusal,
    Text,
    Unknown,
)
from translate.encode_context import Draft
from translate.failures.errors import BadRequest
from translate.fields.leftovers import breakpoint_of
from translate.json.json_fields import Body
from translate.parts import readable
from translate.responses import citations


def content(part: Part, draft: Draft) -> list[Body]:
    """Returns a part as content parts of a message that is not the model's; none for what is left out. Raises
    BadRequest."""
    draft.leave_part(part)
    if draft.home and (raw := part.ext.get("responses.form", {}).get("raw")):
        return [raw]
    match part:
        case Text() | Refusal():
            return [{"type": "input_text", "text": part.text} | own(part)]
        case Image():
            return [_image(part, draft) | own(part)]
        case Document():
            about = {"type": "input_text", "text": f"[context of the document: {part.context}]"}
            pieces = ([about] if part.context else []) + _document(part, draft)
            return [*pieces[:-1], pieces[-1] | breakpoint_of(part.ext)] if pieces else []
        case Audio():
            raise BadRequest("input_audio: audio cannot be sent to this upstream: its protocol takes none in requests")
        case Unknown() if part.protocol == "responses":
            return [part.raw]
    text = draft.in_words(part)
    return [{"type": "input_text", "text": text}] if text else []


def own(part: Part) -> Body:
    """Returns the leftovers of a part from Responses, without those of the whole message."""
    left = part.ext.get("responses", {})
    kept = {key: value for key, value in left.items() if key not in ("id", "status", "phase")}
    if isinstance(part, Text) and (noted := citations.own(part.citations)):
        kept["annotations"] = noted
    return kept | breakpoint_of(part.ext)


def _image(image: Image, draft: Draft) -> Body:
    if image.file_id:
        if not draft.home:
            raise BadRequest(f"image {image.file_id!r} is a file of another provider; send it as base64 or by URL")
        where = {"file_id": image.file_id}
    else:
        where = {"image_url": image.url or f"data:{image.media_type or 'image/png'};base64,{image.data}"}
    detail = image.detail or ("" if draft.home and not draft.policy.rebuild else "auto")
    return {"type": "input_image", **where, **({"detail": detail} if detail else {})}


def _document(document: Document, draft: Draft) -> list[Body]:
    if not draft.home:
        readable.check_readable(document)
    if document.text:
        return [{"type": "input_text", "text": readable.titled(document.title, document.text)}]
    head: list[Body] = [{"type": "input_text", "text": f"[document: {document.title}]"}] if document.title else []
    if document.parts:
        pieces = [piece for part in document.parts for piece in content(part, draft)]
        return head + pieces
    if document.data:
        media_type = document.media_type or "application/pdf"
        name = document.title or "document." + media_type.rpartition("/")[2]
        return [{"type": "input_file", "filename": name, "file_data": f"data:{media_type};base64,{document.data}"}]
    if document.url:
        return [*head, {"type": "input_file", "file_url": document.url}]
    if document.file_id:
        raise BadRequest(f"document {document.file_id!r} is a file of another provider; send it as base64 or by URL")
    return []  # the text is empty
