"""Pictures in Responses' replies: what an item shows, and the item that shows a picture.

Source: the openai SDK's types.responses.response_output_item.ImageGenerationCall. A picture comes to a client as
the result of such a call, the only place for one; the previews that come before it are of no use to others.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Image, Part
from translate.json.json_fields import objects_of, text_of
from translate.parts import reply_media

Raw = dict[str, Any]

KIND = "image_generation_call"
STEPS = (b"in_progress", b"generating", b"completed")

_FORMATS = ("png", "webp", "jpeg", "gif", "svg")


def shown_in(item: Raw) -> list[Part]:
    """Returns the pictures in an item that has no word in the neutral form."""
    if item.get("type") == KIND:
        data, form = text_of(item, "result"), text_of(item, "output_format")
        media_type = f"image/{'svg+xml' if form == 'svg' else form}" if form else ""
        return [reply_media.image(data, media_type)] if data else []
    if item.get("type") == "code_interpreter_call":
        outputs = objects_of(item, "outputs")
        return [reply_media.of_address(url) for each in outputs if (url := text_of(each, "url"))]
    return []


def shows(part: Part) -> bool:
    """Tells whether it is a picture that an item can hold: its bytes, and no address."""
    return isinstance(part, Image) and bool(part.data)


def item(part: Image, id: str) -> Raw:
    form = part.media_type.lower().partition(";")[0].removeprefix("image/").removesuffix("+xml")
    form = "jpeg" if form == "jpg" else form
    told = {"output_format": form} if form in _FORMATS else {}
    return {"id": id, "type": KIND, "status": "completed", "result": part.data} | told
