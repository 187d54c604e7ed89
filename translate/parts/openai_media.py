"""Pictures and files as OpenAI's protocols give them: an address, or a data URL."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

from translate.conversation import Audio, Document, Ext, Image
from translate.failures import problems
from translate.parts import pictures

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.I)
_BY_NAME = {
    ".txt": "text/plain", ".md": "text/markdown", ".csv": "text/csv", ".html": "text/html", ".json": "text/plain",
    ".xml": "text/plain", ".yaml": "text/plain", ".yml": "text/plain", ".log": "text/plain", ".py": "text/plain",
    ".js": "text/plain", ".ts": "text/plain", ".css": "text/plain", ".sh": "text/plain",
}  # fmt: skip
_FILMS = {
    ".webm": "video/webm", ".mov": "video/quicktime", ".mpg": "video/mpeg", ".mpeg": "video/mpeg", ".avi": "video/avi",
    ".wmv": "video/wmv", ".flv": "video/x-flv", ".3gp": "video/3gpp", ".wav": "audio/wav", ".ogg": "audio/ogg",
    ".flac": "audio/flac", ".aac": "audio/aac", ".m4a": "audio/mp4",
}  # fmt: skip
_USUAL = {"video": "video/mp4", "audio": "audio/mpeg"}
_UNSAID = ("", "application/octet-stream")
_BLANKS = " \n\r\t"


def image(url: str, detail: str, ext: Ext) -> Image:
    """Returns the picture at an address, or in a data URL."""
    found = split_data_url(url)
    if found is None:
        return Image(url=url, detail=detail, ext=ext)
    media_type, data = found
    if media_type in _UNSAID:
        media_type = pictures.media_type(data) or media_type
    return Image(data=data, media_type=media_type, detail=detail, ext=ext)


def is_as_given(image: Image, url: str) -> bool:
    """Tells whether the picture would be written as the client has it."""
    head = f"data:{image.media_type};base64,"
    as_data = len(url) == len(head) + len(image.data) and url.startswith(head) and url.endswith(image.data)
    return bool(image.url) or as_data


def document(data: str, title: str, ext: Ext, field: str) -> Document:
    """Returns the file in a data URL, or in bare base64, whose type its name then tells. Raises BadRequest that names
    `field`."""
    by_name = _BY_NAME.get(title[title.rfind(".") :].lower(), "application/pdf")
    media_type, data = split_data_url(data) or ("", data)
    if media_type in _UNSAID:
        media_type = by_name
    if not media_type.startswith("text/"):
        return Document(data=data, media_type=media_type, title=title, ext=ext)
    try:
        return Document(text=base64.b64decode(data).decode(), title=title, ext=ext)
    except ValueError:  # no base64, or no UTF-8 within
        raise problems.invalid(field, "it is not base64 of UTF-8 text") from None


def film(url: str, family: str, ext: Ext) -> Document | Audio:
    """Returns the film or the sound at an address, or in a data URL. family: "video" or "audio"."""
    found = split_data_url(url)
    if found is None:
        path = url.partition("?")[0].lower()
        media_type = _FILMS.get(path[path.rfind(".") :], "")
        kind = media_type if media_type.startswith(family) else _USUAL[family]
        return Document(url=url, media_type=kind, ext=ext)
    media_type, data = found
    if family == "audio":
        return Audio(data, media_type.rpartition("/")[2].removeprefix("x-").replace("mpeg", "mp3"), ext)
    return Document(data=data, media_type=_USUAL[family] if media_type in _UNSAID else media_type, ext=ext)


def split_data_url(url: str) -> tuple[str, str] | None:
    """Returns (media type, base64), None where it is no data URL. Both as everybody takes them: the type in small
    letters, the bytes in base64's first alphabet and without blanks, also where the URL has them in another way."""
    found = _DATA_URL.match(url)
    if found is None or found.end() == len(url):
        return None
    data = url[found.end() :]
    if ";base64" not in found[2].lower():
        return found[1].lower(), base64.b64encode(unquote_to_bytes(data)).decode()
    if "%" in data:
        data = unquote_to_bytes(data).decode("latin-1")
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    if any(blank in data for blank in _BLANKS):
        data = "".join(data.split())
    return found[1].lower(), data
