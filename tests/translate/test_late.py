"""Late patterns: what they find is what a compiled pattern finds, and they are compiled once they are asked."""

from __future__ import annotations

import re

import pytest

from translate import late


def test_a_late_pattern_is_compiled_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    compile_now = re.compile
    monkeypatch.setattr(re, "compile", lambda text, flags: asked.append(text) or compile_now(text, flags))
    found = late.pattern("(a+)b", re.IGNORECASE)
    assert (found.pattern, asked) == ("(a+)b", [])
    assert [found.search("xAAB"), found.search("x")][0][1] == "AA"  # type: ignore[index]
    assert asked == ["(a+)b"]


def test_it_has_what_a_pattern_has() -> None:
    found = late.pattern(rb"(?P<one>a)|b")
    assert (found.flags, found.groups, dict(found.groupindex)) == (0, 1, {"one": 1})
    assert found.sub(b"c", b"abd") == b"ccd" and found.fullmatch(b"b") and found.findall(b"ab") == [b"a", b""]
    with pytest.raises(AttributeError):
        _ = found.nothing  # type: ignore[attr-defined]
