"""A search for words says the same as Python's own, whatever the bytes are and however long."""

from __future__ import annotations

import random

import pytest

from operate import search
from operate.search import LONG, has_any

WORDS = (b"rror", b"failed", b"debug")


def _plainly(data: bytes, words: tuple[bytes, ...]) -> bool:
    return any(word in data for word in words)


@pytest.mark.parametrize("size", [0, 1, 100, LONG - 1, LONG, LONG + 1, 5_000, 70_000])
@pytest.mark.parametrize("word", [b"", *WORDS, b"rro", b"ailed"])
@pytest.mark.parametrize("nul", [None, "before", "behind", "within"])
def test_a_word_is_found_wherever_it_is(size: int, word: bytes, nul: str | None) -> None:
    """A NUL ends a string of C."""
    for at in {0, size // 2, size}:
        before, behind, inner = b"x" * at, b"y" * (size - at), word
        if nul == "before":
            before += b"\0"
        elif nul == "behind":
            behind = b"\0" + behind
        elif nul == "within":
            inner = word[:2] + b"\0" + word[2:]
        data = before + inner + behind
        assert has_any(data, WORDS) is _plainly(data, WORDS)


def test_random_bytes_of_few_letters() -> None:
    chance = random.Random(4)
    letters = b"erodfaildbug\0 r"
    for _ in range(300):
        data = bytes(chance.choice(letters) for _ in range(chance.choice((50, 1_500, 6_000))))
        words = (*(data[a : a + chance.randint(1, 9)].replace(b"\0", b"z") for a in (3, 40)), b"ggggggg")
        for some in (words[:1], words[2:], words):
            assert has_any(data, some) is _plainly(data, some)


def test_without_glibc_the_words_are_found_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_strstr", None)
    assert has_any(b"x" * 5_000 + b"an Error", WORDS)
    assert not has_any(b"x" * 5_000, WORDS)
