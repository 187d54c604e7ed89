"""groundingMetadata: the pages that a reply is based on, and which of its words come from which page; citationMetadata:
what it has taken words from.

Google counts the places in bytes of a text, everybody else in characters. Source: google-genai's types.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from translate.conversation import Citation
from translate.json.json_fields import is_index, list_of, object_of, objects_of, text_of

Raw = dict[str, Any]

FIELDS = ("groundingChunks", "groundingSupports")
MOST = 1 << 20
"""Characters of addresses and titles, or of cited words, that are repeated for a reply's citations. What goes beyond
is left out: many places that name one long page, or overlap, would make a reply that is the square of what came."""


def read(raw: Raw, text: str) -> list[Citation]:
    """Returns the pages as citations of `text`, the reply's own. A page that no place names stands for all of it."""
    chunks = objects_of(raw, "groundingChunks")
    cited: list[Citation] = []
    named: set[int] = set()
    supports = objects_of(raw, "groundingSupports")
    places = _in_characters(text, _bounds(supports))
    size = 0
    for support in supports:
        segment = object_of(support, "segment")
        start, end = places.get(_index(segment, "startIndex")), places.get(_index(segment, "endIndex"))
        for index in list_of(support, "groundingChunkIndices"):
            if is_index(index) and index < len(chunks) and (page := _page(chunks[index])):
                size += sum(map(len, page)) if index in named else 0
                if size > MOST:
                    break
                named.add(index)
                known = start is not None and end is not None
                cited.append(Citation("gemini", support, *page, start if known else None, end if known else None))
    for index, chunk in enumerate(chunks):
        if index not in named and (page := _page(chunk)):
            cited.append(Citation("gemini", chunk, *page))
    return cited + _quoted(object_of(raw, "quoted"), text)


def _quoted(raw: Raw, text: str) -> list[Citation]:
    """Returns the sources that Google says the text has words of (citationMetadata)."""
    sources = [each for each in objects_of(raw, "citations") or objects_of(raw, "citationSources") if each.get("uri")]
    bounds = [_index(each, key) for each in sources for key in ("startIndex", "endIndex")]
    places = _in_characters(text, bounds)
    found: list[Citation] = []
    for each in sources:
        start, end = places.get(_index(each, "startIndex")), places.get(_index(each, "endIndex"))
        known = start is not None and end is not None
        place = (start, end) if known else (None, None)
        found.append(Citation("gemini", each, text_of(each, "uri"), text_of(each, "title"), *place))
    return found


def _page(chunk: Raw) -> tuple[str, str] | None:
    for kind in ("web", "retrievedContext", "maps", "image"):
        said = object_of(chunk, kind)
        if uri := text_of(said, "uri") or text_of(said, "sourceUri"):
            return uri, text_of(said, "title")
    return None


def _bounds(supports: list[Raw]) -> list[int]:
    return [_index(object_of(each, "segment"), key) for each in supports for key in ("startIndex", "endIndex")]


def _index(segment: Raw, key: str) -> int:
    value = segment.get(key, 0)  # Google leaves out what is 0
    return value if is_index(value) else -1


def _in_characters(text: str, places: Iterable[int]) -> dict[int, int]:
    """Returns places in bytes -> in characters, those within the text."""
    if text.isascii():
        return {at: at for at in places if 0 <= at <= len(text)}
    raw = text.encode("utf-8", "surrogatepass")
    found: dict[int, int] = {}
    before = characters = 0
    for at in sorted(set(places)):
        if 0 <= at <= len(raw):
            characters += len(raw[before:at].decode("utf-8", "ignore"))
            before = at
            found[at] = characters
    return found


def write(cited: list[tuple[int, str, list[Citation]]], queries: list[str]) -> Raw:
    """Returns groundingMetadata. cited: for each text with citations, which part it is, its words, and what it cites.
    queries: what was searched for."""
    chunks: dict[str, int] = {}
    pages: list[Raw] = []
    supports: list[Raw] = []
    size = 0
    for n, text, citations in cited:
        places = _in_bytes(text, citations)
        found: dict[tuple[int, int], dict[int, None]] = {}  # the pages of each place
        for each in citations:
            if not each.url:
                continue
            if each.url not in chunks:
                chunks[each.url] = len(pages)
                pages.append({"web": {"uri": each.url, "title": each.title or each.url}})
            found.setdefault(_place(each, text), {})[chunks[each.url]] = None
        for (start, end), indices in found.items():
            segment: Raw = {"partIndex": n} if n else {}
            segment |= {"startIndex": places[start]} if start else {}
            segment["endIndex"] = places[end]
            size += max(0, min(end, len(text)) - start)
            if size <= MOST:
                segment["text"] = text[start:end]
            supports.append({"segment": segment, "groundingChunkIndices": list(indices)})
    out: Raw = {}
    if queries:
        out["webSearchQueries"] = queries
    if pages:
        out |= {"groundingChunks": pages} | ({"groundingSupports": supports} if supports else {})
    return out


def _place(cited: Citation, text: str) -> tuple[int, int]:
    """Returns which part of the text it is about: all of it, if it does not say. Anthropic cites whole pieces."""
    return (0, len(text)) if cited.start is None or cited.end is None else (cited.start, cited.end)


def _in_bytes(text: str, cited: list[Citation]) -> dict[int, int]:
    """Returns the citations' places in characters -> in bytes."""
    found: dict[int, int] = {}
    before = size = 0
    for at in sorted({at for each in cited for at in _place(each, text)}):
        size += len(text[before:at].encode("utf-8", "replace"))
        before = at
        found[at] = size
    return found
