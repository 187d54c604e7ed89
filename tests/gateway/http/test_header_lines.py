"""Header lines that come again are read once: what comes of it is what Tornado makes of them, and no key is kept."""

from __future__ import annotations

import random

import pytest
from tornado.httputil import HTTPHeaders, HTTPInputError

from gateway.http import header_lines

USUAL = [
    "Host: 127.0.0.1:4000", "content-type: application/json", "X-API-Key: sk-secret-secret-secret", "accept:*/*",
    "Authorization: Bearer abcdefgh12345678", "x-empty:", "X-Two: a", "x-two: b", "Cookie: session=abc",
    "x-blank: \t padded \t", "user-agent: claude-cli/2.0 (external, cli)", "x-high: caf\xe9",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_lines, "_known", {})
    monkeypatch.setattr(header_lines, "_good", {})


def test_it_reads_as_tornado_does() -> None:
    choose = random.Random(1)
    for _ in range(300):
        lines = choose.choices(USUAL, k=choose.randrange(12))
        wanted = HTTPHeaders.parse("".join(f"{line}\r\n" for line in lines))
        for _ in range(2):  # what is known is read as what is new
            found = header_lines.read([*lines, "", ""])
            assert list(found.get_all()) == list(wanted.get_all())
            assert dict(found) == dict(wanted)
            for name in ("host", "X-Two", "x-none", "X-EMPTY", "Content-Type"):
                assert found.get(name) == wanted.get(name) and found.get(name, "") == wanted.get(name, "")
                assert (name in found) == (name in wanted)


def test_one_request_does_not_change_what_the_next_one_gets() -> None:
    first = header_lines.read(["X-Two: a", "X-One: 1"])
    first.add("X-Two", "more")
    first["X-One"] = "2"
    second = header_lines.read(["X-Two: a", "X-One: 1"])
    assert second["X-Two"] == "a" and second["X-One"] == "1"


@pytest.mark.parametrize("line", ["no colon", " folded: x", ": nameless", "bad name: x", "x: \x00", "x\xe9: y"])
def test_what_tornado_refuses_is_refused_each_time(line: str) -> None:
    for _ in range(2):
        with pytest.raises(HTTPInputError):
            header_lines.read(["Host: x", line])
    assert line not in header_lines._known


def test_keys_are_not_kept_nor_more_than_a_bound() -> None:
    header_lines.read(USUAL)
    kept = f"{header_lines._known} {header_lines._good}"
    assert sorted(header_lines._good.values()) == ["Authorization", "Cookie", "X-Api-Key"]
    assert "secret" not in kept and "abcdefgh" not in kept and "session=abc" not in kept and "claude-cli" in kept
    for number in range(3 * header_lines.MAX_LINES):
        header_lines.read([f"X-Request-Id: {number}", f"X-Long-{number}: {'y' * 500}", f"X-Api-Key: k{number}"])
    assert len(header_lines._known) <= header_lines.MAX_LINES >= len(header_lines._good)
    assert max(map(len, header_lines._known)) <= header_lines.LONGEST
