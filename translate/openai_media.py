"""Pictures and files as OpenAI's protocols give them: an address, or a data URL."""

from __future__ import annotations

import base64
import re

from translate import problems
from translate.conversation import Document, Ext, Image

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.I)
_BY_NAME = {".txt": "text/plain", ".md": "text/markdown", ".csv": "text/csv", ".html": "text/html"}


def image(url: str, detail: str, ext: Ext) -> Image:
    """Returns the picture at an address, or in a data URL."""
    found = split_data_url(url)
    if found is None:
        return Image(url=url, detail=detail, ext=ext)
    return Image(data=found[1], media_type=found[0], detail=detail, ext=ext)


def document(data: str, title: str, ext: Ext, field: str) -> Document:
    """Returns the file in a data URL, or in bare base64, whose type its name then tells. Raises BadRequest that names
    `field`."""
    by_name = _BY_NAME.get(title[title.rfind(".") :].lower(), "application/pdf")
    media_type, data = split_data_url(data) or (by_name, data)
    if not media_type.startswith("text/"):
        return Document(data=data, media_type=media_type, title=title, ext=ext)
    try:
        return Document(text=base64.b64decode(data).decode(), title=title, ext=ext)
    except ValueError:  # no base64, or no UTF-8 within
        raise problems.invalid(field, "it is not base64 of UTF-8 text") from None


def split_data_url(url: str) -> tuple[str, str] | None:
    """Returns (media type, base64), None where it is no data URL in base64."""
    found = _DATA_URL.match(url)
    if found is None or ";base64" not in found[2].lower():
        return None
    return found[1], url[found.end() :]
