"""What a text cites, as the neutral form has it.

Each protocol reads its own notes into `Citation` and writes every `Citation` as a note of its own: citations.py in the
three packages. Here is what they share.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from translate.conversation import Citation, Part, Text
from translate.json.json_fields import is_index, text_of


def of_page(protocol: str, raw: Any, page: Any) -> Citation:
    """Returns the citation that `protocol` says as `raw`. page: the object in it that names a page by its `url`,
    `title`, `start_index` and `end_index`; anything else for a source without an address."""
    if not isinstance(page, dict) or not (url := text_of(page, "url")):
        return Citation(protocol, raw)
    start, end = page.get("start_index"), page.get("end_index")
    if not is_index(start) or not is_index(end):
        start = end = None
    return Citation(protocol, raw, url, text_of(page, "title"), start, end)


def are_pieces(parts: Iterable[Part]) -> bool:
    """Tells whether the parts are pieces of one text: Anthropic cuts a text wherever the sources change."""
    return any(cited.start is None for part in parts if isinstance(part, Text) for cited in part.citations)
