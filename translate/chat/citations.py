"""What a text cites, in Chat: annotations of the message, whose places count the characters of its whole content.

Source: the openai SDK's types/chat/chat_completion_message.py, Annotation.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Citation
from translate.json.json_fields import list_of, object_of
from translate.parts import citations


def read(raw: Any, before: int = 0) -> Citation:
    """Reads an annotation. before: how many characters of the content come before the text that cites."""
    found = citations.of_page("chat", raw, raw.get("url_citation") if isinstance(raw, dict) else None)
    if before and found.start is not None and found.end is not None:
        is_within = found.start >= before
        found.start = found.start - before if is_within else None
        found.end = found.end - before if is_within else None
    return found


def write(cited: list[Citation], start: int, end: int) -> list[Any]:
    """Writes Chat's own annotations as they came, and of other protocols' citations the pages. start, end: the place of
    the text in the message's content, in characters."""
    found: list[Any] = []
    for each in cited:
        if each.protocol == "chat":
            found.append(each.raw)
        elif each.url:
            if each.start is not None and each.end is not None:
                place = {"start_index": start + each.start, "end_index": start + each.end}
            else:
                place = {"start_index": start, "end_index": end}
            page = {**place, "title": each.title or each.url, "url": each.url}
            found.append({"type": "url_citation", "url_citation": page})
    return found


def pages(beside: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the sources that stand beside the message, as Perplexity has them, as annotations."""
    found = list_of(beside, "search_results") or [{"url": url} for url in list_of(beside, "citations")]
    named = [page for page in found if isinstance(page, dict) and isinstance(page.get("url"), str)]
    cited = [{"title": str(page.get("title") or page["url"]), "url": page["url"]} for page in named]
    return [{"type": "url_citation", "url_citation": page} for page in cited]


def of_venice(data: dict[str, Any]) -> list[Any]:
    return list_of(object_of(data, "venice_parameters"), "web_search_citations")
