"""Pictures and sounds in Chat's replies: `images` and `audio` beside a message's text.

OpenAI's own types know `audio` alone. `images` is what OpenRouter and LiteLLM say and their clients read. Sound comes
in pieces that belong together; its words are in the text, too.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from translate.conversation import Audio, Image, Part, Unknown
from translate.json.json_fields import Body, object_of, text_of
from translate.parts import reply_media
from translate.target import Asked

FORM = "chat.form"
_ADDRESS = re.compile("data:|https?:", re.I)  # base64 has no colon


def image_of(raw: Body) -> Unknown:
    """Reads an entry of `images`, or a part of content that is none of text."""
    found = raw.get("image_url")
    url = found if isinstance(found, str) else text_of(object_of(raw, "image_url"), "url")
    data = text_of(raw, "b64_json")
    shown: list[Part] = [reply_media.of_address(url)] if url else [reply_media.image(data)] if data else []
    return Unknown("chat", {"type": "image_url", **raw} if shown else raw, parts=shown)


def of_message(raw: Body) -> list[Part]:
    """Reads the `images` of a message: of the model's, said back, or of the user's in Ollama's way, in bare base64. Its
    own protocol has them beside the content."""
    shown: list[Part] = []
    found = raw.get("images")
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, dict):
            shown += image_of(each).parts
        elif isinstance(each, str) and each:
            shown.append(reply_media.of_address(each) if _ADDRESS.match(each) else reply_media.image(each))
    return [replace(part, ext={FORM: {"beside": True}}) for part in shown if isinstance(part, Image)]


def audio_of(pieces: list[Body]) -> Unknown | None:
    """Reads all that came of `audio`; None where there is no sound in it."""
    if not (data := reply_media.joined(text_of(piece, "data") for piece in pieces)):
        return None
    said: Body = {}
    for piece in pieces:
        said |= {key: value for key, value in piece.items() if value is not None}
    said |= {"data": data, "transcript": "".join(text_of(piece, "transcript") for piece in pieces)}
    return Unknown("chat", {"type": "audio", "audio": said}, parts=[reply_media.audio(data, said["transcript"])])


def shows(part: Part) -> bool:
    return isinstance(part, Image | Audio)


def tools_run(part: Part | None) -> Body:
    """Returns what a Chat server tells of the tools that it ran, as the field of a message; {} of any other part."""
    if isinstance(part, Unknown) and part.protocol == "chat" and part.kind == "executed_tools":
        return {"executed_tools": part.raw["executed_tools"]}
    return {}


class Beside:
    """What is written beside the text: each picture as soon as it is there, the sound at the end."""

    __slots__ = ("_asked", "_own", "_sounds", "images")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._own: Body = {}
        self._sounds: list[Audio] = []
        self.images: list[Body] = []

    def __repr__(self) -> str:
        return f"<Beside {len(self.images)} images, {len(self._sounds)} sounds>"

    def take(self, part: Part | None) -> Body | None:
        """Takes a part that is complete. Returns the picture that it is."""
        if isinstance(part, Image):
            url = part.url or f"data:{part.media_type};base64,{part.data}"
            image: Body = {"type": "image_url", "image_url": {"url": url}}
        elif isinstance(part, Unknown) and part.protocol == "chat" and part.kind == "image_url":
            image = {key: value for key, value in part.raw.items() if key != "index"}
        else:
            if isinstance(part, Audio):
                self._sounds.append(part)
            elif isinstance(part, Unknown) and part.protocol == "chat" and part.kind == "audio":
                self._own = part.raw["audio"]
            return None
        self.images.append(image)
        return image

    def audio(self) -> Body:
        """Returns all of the sound, {} for none. It is not kept, so that it cannot be named later: it expires at
        once."""
        if self._own or not self._sounds:
            return self._own
        data = reply_media.joined(sound.data for sound in self._sounds)
        words = "".join(sound.transcript for sound in self._sounds)
        id = f"audio_{self._asked.key}"
        return {"id": id, "data": data, "expires_at": self._asked.created, "transcript": words}
