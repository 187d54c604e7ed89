"""What a text cites, in Messages: a list beside the text, each entry for all of its text.

Source: the anthropic SDK's types/text_citation.py. A page is a web_search_result_location; the others are places in
documents of the request, or results of its own searches, and mean nothing elsewhere.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Citation
from translate.parts import citations
from translate.tools.websearch import MARK


def read(raw: Any) -> Citation:
    return citations.of_page("messages", raw, raw)


def write(cited: list[Citation]) -> list[Any]:
    """Writes Messages' own citations as they came, and of other protocols' the pages. In these a mark of ours stands
    where Anthropic has a cipher, which nobody but Anthropic can make."""
    return [each.raw if each.protocol == "messages" else _page(each) for each in cited if _can_be_said(each)]


def own(cited: list[Citation]) -> list[Any]:
    """Returns the citations that a Messages upstream wrote itself. It takes back no others."""
    return [each.raw for each in cited if each.protocol == "messages"]


def _can_be_said(cited: Citation) -> bool:
    return cited.protocol == "messages" or bool(cited.url)


def _page(cited: Citation) -> dict[str, Any]:
    return {
        "type": "web_search_result_location", "url": cited.url, "title": cited.title or None,
        "cited_text": "", "encrypted_index": MARK,
    }  # fmt: skip
