"""What a text cites, from each protocol's words into each other's: an address, a title, a place in the text."""

from __future__ import annotations

from typing import Any

import pytest

from translate.chat import reply as chat
from translate.conversation import Close
from translate.responses import items

LENGTH = 11  # of the text
PAGE = {"url": "https://x", "title": "X"}
SPAN = {"start_index": 2, "end_index": 5}

# (protocol, what its text cites) -> Chat's annotations, Responses' annotations
CITED: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("responses", {"type": "url_citation", **SPAN, **PAGE},
     [{"type": "url_citation", "url_citation": SPAN | PAGE}], [{"type": "url_citation", **SPAN, **PAGE}]),
    ("responses", {"type": "url_citation", "url": "u", "more": 1},
     [{"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 14, "title": "u", "url": "u"}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, "title": "u", "url": "u", "more": 1}]),
    ("responses", {"type": "url_citation"}, [], []),
    ("responses", {"type": "file_citation", "file_id": "f"}, [], [{"type": "file_citation", "file_id": "f"}]),
    ("responses", "odd", [], ["odd"]),
    ("chat", {"type": "url_citation", "url_citation": SPAN | PAGE},
     [{"type": "url_citation", "url_citation": SPAN | PAGE}], [{"type": "url_citation", **SPAN, **PAGE}]),
    ("chat", {"type": "url_citation", "url_citation": {"url": "u", "start_index": 2}},
     [{"type": "url_citation", "url_citation": {"url": "u", "start_index": 2}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, "title": "u", "url": "u"}]),
    ("chat", {"type": "url_citation", "url_citation": {"url": "u", "end_index": 2}},
     [{"type": "url_citation", "url_citation": {"url": "u", "end_index": 2}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, "title": "u", "url": "u"}]),
    ("chat", {"url_citation": {"url": ""}}, [{"url_citation": {"url": ""}}], []),
    ("chat", {"url_citation": {"url": 7}}, [{"url_citation": {"url": 7}}], []),
    ("chat", {"url_citation": "odd"}, [{"url_citation": "odd"}], []),
    ("chat", {}, [{}], []),
    ("messages", {"type": "web_search_result_location", "cited_text": "x", **PAGE},
     [{"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 14, **PAGE}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, **PAGE}]),
    ("messages", {"url": "u", "title": None},
     [{"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 14, "title": "u", "url": "u"}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, "title": "u", "url": "u"}]),
    ("messages", {"type": "char_location", "cited_text": "x"}, [], []),
    ("messages", {"url": ""}, [], []),
    ("messages", {"url": ["u"]}, [], []),
    ("messages", "odd", [], []),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "cited", "in_chat", "in_responses"), CITED)
def test_citations(protocol: str, cited: Any, in_chat: list[Any], in_responses: list[Any]) -> None:
    field = "citations" if protocol == "messages" else "annotations"
    close = Close(ext={protocol: {field: [cited]}})
    assert chat.annotations_of(close, 3, 3 + LENGTH) == in_chat
    assert items.annotations_of(close, LENGTH) == in_responses
    both = Close(ext={protocol: {field: [cited, cited]}})
    assert chat.annotations_of(both, 3, 3 + LENGTH) == in_chat * 2
    assert items.annotations_of(both, LENGTH) == in_responses * 2


def test_a_stream_knows_no_places() -> None:
    close = Close(ext={"messages": {"citations": [PAGE]}})
    assert chat.annotations_of(close) == [{"type": "url_citation", "url_citation": PAGE}]


def test_nothing_cited() -> None:
    assert chat.annotations_of(Close(), 0, 1) == items.annotations_of(Close(), 1) == []
