"""What is known of well-known models without asking anybody: models.json, with its sources and their date.

The price of a model, how many tokens it takes and writes, and what it reads besides text. Settings and the lists of
upstreams say more than it; a model that it does not know is unknown, and nothing is guessed. It is not used for servers
on this machine or in a private network: they cost nothing that it knows, and serve a model with a context of their own.
"""

from __future__ import annotations

import fnmatch
import functools
import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.routing import model_names
from operate.settings.load import is_loopback

Value = TypeVar("Value")

_FILE = Path(__file__).with_name("models.json")
_DATED = re.compile(r"(-\d{8}|-\d{4}-\d{2}-\d{2}|-latest|@.*|\[1m\])+$")


class Shipped(Struct, frozen=True):
    """prices, factors, limits: where the numbers come from. models: what is known of each, by its name in lower
    case."""

    prices: str
    factors: str
    limits: str
    date: str
    models: Mapping[str, Mapping[str, Any]]


@functools.cache
def shipped() -> Shipped:
    said = json.loads(_FILE.read_text("utf-8"))
    return Shipped(said["prices"], said["factors"], said["limits"], said["date"], said["models"])


def known(model: str) -> Mapping[str, Any]:
    """model: its name at an upstream, perhaps with an owner before it and a date after it."""
    models, short = shipped().models, (model_names.plain(model) or model).rpartition("/")[2].lower()
    return models.get(short) or models.get(_DATED.sub("", short)) or {}


def is_near(base_url: str) -> bool:
    """Whether a server is on this machine or in a private network."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return is_loopback(host) or not host or "." not in host or host.endswith((".local", ".internal", ".lan"))


def by_pattern(lines: Mapping[str, Value]) -> list[tuple[re.Pattern[str], Value]]:
    """The lines of a section whose keys are MODEL or UPSTREAM/MODEL, perhaps with `*` and `?`: exact names first, then
    longer patterns before shorter ones."""
    order = sorted(lines.items(), key=lambda line: (any(mark in line[0] for mark in "*?["), -len(line[0])))
    return [(re.compile(fnmatch.translate(glob)), value) for glob, value in order]
