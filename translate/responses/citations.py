"""What a text cites, in Responses: annotations of a content part, whose places count the characters of its text.

Source: the openai SDK's types/responses/response_output_text.py, Annotation. A page is a url_citation; the others name
files of the provider's own.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Citation
from translate.parts import citations

_PAGE = "url_citation"


def read(raw: Any) -> Citation:
    return citations.of_page("responses", raw, raw if _is_page(raw) else None)


def write(cited: list[Citation], length: int) -> list[Any]:
    """Writes pages with all that their type wants, and Responses' own other notes as they came. length: of the text, in
    characters; a citation without a place stands for all of it."""
    found: list[Any] = []
    for each in cited:
        is_own = each.protocol == "responses"
        if each.url:
            found.append((each.raw if is_own else {}) | _page(each, length))
        elif is_own and not _is_page(each.raw):
            found.append(each.raw)
    return found


def own(cited: list[Citation]) -> list[Any]:
    """Returns the annotations that a Responses upstream wrote itself. It takes back no others."""
    return [each.raw for each in cited if each.protocol == "responses"]


def _is_page(raw: Any) -> bool:
    return isinstance(raw, dict) and raw.get("type") == _PAGE


def _page(cited: Citation, length: int) -> dict[str, Any]:
    start, end = (0, length) if cited.start is None else (cited.start, cited.end)
    return {
        "type": _PAGE, "start_index": start, "end_index": end, "title": cited.title or cited.url, "url": cited.url,
    }  # fmt: skip
