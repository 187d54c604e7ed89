"""Pictures, sounds and files in replies: how they are read, and which words stand for them.

A reply's media come whole, in base64 or behind an address. Only their own bytes tell what they are where the reply does
not say it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from translate.conversation import Audio, Document, Image, Part
from translate.parts import pictures
from translate.parts.openai_media import split_data_url

PCM = "pcm16"
"""Sound without a head of its own, as OpenAI calls it: 16 bits, 24,000 times a second."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*+={0,2}")

# How base64 begins of sounds that say themselves what they are.
_SOUNDS = {"UklGR": "wav", "SUQz": "mp3", "//": "mp3", "T2dnUw": "opus", "ZkxhQw": "flac"}


def image(data: str, media_type: str = "") -> Image:
    """Returns a picture in base64."""
    return Image(data=data, media_type=media_type or pictures.media_type(data) or "image/png")


def audio(data: str, transcript: str = "") -> Audio:
    """Returns sound in base64."""
    form = next((kind for start, kind in _SOUNDS.items() if data.startswith(start)), PCM)
    return Audio(data, form, transcript=transcript)


def of_blob(data: str, media_type: str, title: str) -> Part:
    """Returns what is in base64, by its media type."""
    family, _, form = media_type.lower().partition(";")[0].partition("/")
    if family == "image":
        return image(data, media_type)
    if family == "audio":
        return Audio(data, PCM if form in ("l16", "pcm") else form)
    return Document(data=data, media_type=media_type, title=title)


def of_address(url: str, media_type: str = "", title: str = "") -> Part:
    """Returns what is at an address, or in a data URL; a picture, unless its type says otherwise."""
    if (found := split_data_url(url)) is not None:
        return of_blob(found[1], found[0] or media_type, title)
    if not media_type or media_type.startswith("image/"):
        return Image(url=url, media_type=media_type)
    return Document(url=url, media_type=media_type, title=title)


def in_words(part: Part) -> str:
    """Returns the words for a part that the client's protocol cannot show."""
    if isinstance(part, Image):
        kind, what = "image", part.media_type
        where = part.url
    elif isinstance(part, Audio):
        kind, what, where = "audio", part.format, ""
    elif isinstance(part, Document):
        kind, what = "file", part.title or part.media_type
        where = part.url or part.file_id
    else:
        return ""
    if where:
        return f"[{kind}: {where}]"
    return f"[{kind}: {what or 'of a type that is not told'}, not shown: this client's protocol has no place for it]"


def is_base64(data: str) -> bool:
    """Tells whether the bytes can be read: recordings and broken gateways cut them short."""
    return bool(data) and len(data) % 4 == 0 and _BASE64.fullmatch(data) is not None


def joined(pieces: Iterable[str]) -> str:
    """Returns one sound of pieces in base64."""
    known = [piece for piece in pieces if piece]
    if len(known) < 2:
        return "".join(known)
    try:
        return base64.b64encode(b"".join(map(base64.b64decode, known))).decode()
    except (ValueError, binascii.Error):
        return "".join(known)
