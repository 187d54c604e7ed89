"""Counting without a tokenizer: what counts, what does not, and the same for every protocol's words."""

from __future__ import annotations

from typing import Any

import pytest

from translate.counting import tokens
from translate.counting.tokens import IMAGE_TOKENS, PAGE_TOKENS, PER_MESSAGE, estimate

WORDS = "x" * 3600  # a thousand tokens
DATA = "A" * 120_000
SOURCE = {"type": "base64", "media_type": "image/png", "data": DATA}
PDF = {"type": "base64", "media_type": "application/pdf", "data": DATA}
PICTURES: list[tuple[Any, int]] = [
    ({"type": "image", "source": SOURCE}, IMAGE_TOKENS),
    ({"type": "document", "source": PDF}, PAGE_TOKENS * 3),
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64," + DATA}}, IMAGE_TOKENS),
    ({"type": "file", "file": {"file_data": "data:application/pdf;base64," + DATA}}, PAGE_TOKENS * 3),
    ({"type": "input_image", "image_url": "data:image/png;base64," + DATA}, IMAGE_TOKENS),
    ({"type": "tool_result", "content": [{"type": "image", "source": SOURCE}]}, IMAGE_TOKENS),
    ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + DATA}}, IMAGE_TOKENS),
    ({"type": "audio_url", "audio_url": {"url": "data:audio/mpeg;base64," + DATA}}, 60),
]


def quick(body: Any, size: int) -> int:
    """Where media may be in the body."""
    return sum(tokens.measured(body, size))


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ({}, PER_MESSAGE),
        ({"messages": []}, PER_MESSAGE),
        ({"messages": [WORDS]}, 1000 + PER_MESSAGE),
        ({"messages": [WORDS, WORDS]}, 2000 + 2 * PER_MESSAGE),
        ({"input": [WORDS]}, 1000 + PER_MESSAGE),
        ({"input": WORDS}, 1000 + PER_MESSAGE),
        ({"system": WORDS, "messages": [WORDS]}, 2000 + PER_MESSAGE),
        ({"instructions": WORDS, "input": [WORDS]}, 2000 + PER_MESSAGE),
        ({"tools": [WORDS], "messages": [WORDS]}, 2000 + PER_MESSAGE),
        ({"functions": [WORDS], "messages": [WORDS]}, 2000 + PER_MESSAGE),
        ({"response_format": WORDS, "messages": [WORDS]}, 2000 + PER_MESSAGE),
        ({"metadata": WORDS, "messages": [WORDS]}, 1000 + PER_MESSAGE),
        # Keys count, but for those that say what a block is; so do four bytes for a number.
        ({"messages": [{"content": "x" * 29, "type": "tool", "role": "user", "signature": WORDS}]}, 10 + PER_MESSAGE),
        ({"messages": [{"cache_control": {"type": "ephemeral"}, "a" * 32: 7}]}, 10 + PER_MESSAGE),
        ({"messages": ["é" * 1800]}, 1000 + PER_MESSAGE),
        ({"messages": ["\ud800" * 36]}, 10 + PER_MESSAGE),
    ],
)
def test_estimates_follow_the_words_and_media(body: dict[str, Any], want: int) -> None:
    assert estimate(body) == want


@pytest.mark.parametrize(("part", "want"), PICTURES, ids=[part["type"] for part, _ in PICTURES])
def test_media_cost_by_their_kind_not_their_bytes(part: dict[str, Any], want: int) -> None:
    """In both ways of counting, wherever in a message they stand."""
    bare = {"messages": [{"role": "user", "content": [{"type": "text", "text": WORDS}]}]}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": WORDS}, part]}]}
    assert 0 <= estimate(body) - estimate(bare) - want < 30
    size = len(str(body))
    assert quick(body, size) - quick(bare, size - len(DATA)) in range(want - 30, want + 30)


def test_the_quick_way() -> None:
    text = {"messages": [{"role": "user", "content": WORDS}]}
    assert quick(text, 4860) == quick({"input": WORDS}, 4860) == quick({}, 4860) == 1000
    assert quick({"messages": [7, {"content": [7, {"type": []}]}]}, 4860) == 1000
    assert quick({}, 0) == quick({}, 1) == 1
    both = {"messages": [{"content": [PICTURES[0][0], PICTURES[0][0]]}, {"content": [PICTURES[0][0]]}]}
    assert quick(both, 3 * len(DATA) + 486) == 100 + 3 * IMAGE_TOKENS
    short = {"messages": [{"content": [{"type": "image", "source": {"type": "url", "url": "https://x"}}]}]}
    assert quick(short, 486) == 100


@pytest.mark.parametrize(("bytes", "pages"), [(40_000, 1), (50_000, 2), (99_000, 2), (101_000, 3)])
def test_documents_are_estimated_by_their_pages(bytes: int, pages: int) -> None:
    data = "data:application/pdf;base64,"
    assert tokens._media_tokens(data + "A" * (bytes - len(data))) == pages * PAGE_TOKENS
    assert tokens._media_tokens("A" * 60 + "pdf") == IMAGE_TOKENS
