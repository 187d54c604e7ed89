"""docs/protocols.md ends with what becomes of each field, as the ledger has it; --update writes it anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.support import pages
from translate import dialects
from translate.fields.ledger import LedgerRow

NAMES = {"messages": "Messages", "chat": "Chat Completions", "responses": "Responses", "gemini": "Gemini"}
WORDS = {"mapped": "becomes {}", "carried": "as it is", "dropped": "left out: {}", "refused": "**refused**: {}"}
FATES = ("mapped", "carried", "dropped", "refused")


def fields() -> Iterator[str]:
    yield "## Field by field"
    yield ""
    yield "What a request can say, by the names of the official SDKs: a field as it is, `role:`, `block:` (of content),"
    yield "`call:`, `item:` (of Responses' input) and `tool:` before the others. What is left out is named in"
    yield "`X-Proxy-Dropped`, unless it could not have changed anything; what is refused gets a 400 that names it."
    yield ""
    yield from pages.head("client", "upstream", *("becomes another", "as it is", "left out", "refused"))
    for client in NAMES:
        for upstream in NAMES:
            if client != upstream:
                counts = Counter(row.fate for row in rows(client, upstream).values())
                yield pages.row(NAMES[client], NAMES[upstream], *(str(counts[fate]) for fate in FATES))
    for client in NAMES:
        yield from ("", f"### A {NAMES[client]} client says", "")
        yield from _table(client, *(name for name in NAMES if name != client))


def _table(client: str, *upstreams: str) -> Iterator[str]:
    """Neighbours of the same fate share a row."""
    yield from pages.head("field", *(f"to {NAMES[each]}" for each in upstreams))
    same: dict[tuple[str, ...], list[str]] = {}
    for name in rows(client, upstreams[0]):
        same.setdefault(tuple(_said(rows(client, each)[name]) for each in upstreams), []).append(f"`{name}`")
    for fates, names in same.items():
        yield pages.row(" ".join(names), *fates)


def _said(row: LedgerRow) -> str:
    return WORDS[row.fate].format(pages.plain(row.note))


def rows(client: str, upstream: str) -> dict[str, LedgerRow]:
    return dialects.of(client).words.ledger.rows(upstream)


def test_the_page_is_current(update: bool) -> None:
    pages.hold("protocols.md", __file__, fields(), update)


def test_every_protocol_is_on_the_page() -> None:
    assert set(NAMES) == set(dialects.names())
