"""Who may see a page is decided by its base class. The exceptions are named here, so that a new one is seen."""

from __future__ import annotations

from collections.abc import Iterator

import console.dashboard.pages
import gateway.endpoints
from gateway.pages.handlers import Handler

OPEN = {"Alive", "Elsewhere", "Page", "Preflight", "Ready", "Socket", "Version"}
"""Probes, the dashboard's empty page, what browsers ask before a request, refusals, and a websocket, whose turns are
asked for their keys."""

ITS_OWN_WAY = {"Act", "MetricsPage", "Shown", "Socket"}
"""Those that look at the key by themselves; their tests show it."""


def every(of: type[Handler]) -> Iterator[type[Handler]]:
    for each in of.__subclasses__():
        if each.__module__.startswith((gateway.__name__, console.__name__)):
            yield each
            yield from every(each)


def test_no_other_page_is_seen_without_a_key() -> None:
    assert {each.__name__ for each in every(Handler) if each.open} == OPEN


def test_all_others_ask_for_the_key_of_a_client() -> None:
    assert {each.__name__ for each in every(Handler) if "prepare" in vars(each)} == ITS_OWN_WAY
