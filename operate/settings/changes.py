"""Compares settings: what has changed, by the names of sections and keys, and what a running proxy can take over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import structs

from operate.settings import schema
from operate.settings.errors import Problem, SettingsError
from operate.settings.load import Settings, is_loopback
from operate.settings.sections import Section

AT_START = ("host", "port", "socket_mode", "user", "workers")
"""The keys of [server] that change only at a restart. So does all of [shared]."""
_FOLLOWS = ("off_because", "base", "_prefix")  # what follows from other keys


def followed(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """`new` with the AT_START keys of `old`, and the names of those keys that have changed: they wait for a restart.
    Raises SettingsError if everybody on the network could then use the proxy without a key."""
    waits = [f"[server] {key}" for key in AT_START if getattr(old.server, key) != getattr(new.server, key)]
    waits += _fields("[shared]", old.shared, new.shared)
    kept = {key: getattr(old.server, key) for key in AT_START}
    if not new.clients and not is_loopback(old.server.host):
        message = (
            f"the last [client] was removed while the proxy listens on {old.server.host}, which other machines can "
            "reach: keep a [client], or set [server] host = 127.0.0.1 and restart the proxy"
        )
        raise SettingsError([Problem(new.file, 0, "", "", message)])
    return dataclasses.replace(new, server=structs.replace(new.server, **kept), shared=old.shared), waits


def changed(old: Settings, new: Settings) -> list[str]:
    """The names of what differs, such as "[server] idle_timeout", "[upstream groq] api_key", "[client me] removed" and
    "[models]". Values are not among them, because they may be secrets."""
    names: list[str] = []
    for section in schema.PLAIN:
        names += _fields(f"[{section}]", getattr(old, section), getattr(new, section))
    upstreams = list(_named("upstream", old.upstreams, new.upstreams))
    if old.timeouts != new.timeouts:  # most upstreams take these over; name the section once
        upstreams = [name for name in upstreams if not name.endswith("] timeouts")]
    names += upstreams
    if _rules(old) != _rules(new):
        names.append("[models]")
    names += [f"[{name}]" for name in (schema.PRICES, schema.SIZES) if getattr(old, name) != getattr(new, name)]
    for kind in ("client", "hook"):
        before, after = ({each.name: each for each in getattr(settings, f"{kind}s")} for settings in (old, new))
        names += _named(kind, before, after)
    return names


def _named(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*old, *new]):
        section = f"[{kind} {name}]"
        if name not in new:
            yield f"{section} removed"
        elif name not in old:
            yield f"{section} added"
        else:
            yield from _fields(section, old[name], new[name])


def _rules(settings: Settings) -> list[tuple[object, ...]]:
    """The rules without their line numbers, which other lines may change."""
    return [(rule.pattern, rule.targets, rule.condition) for rule in settings.models]


def _fields(section: str, old: Section, new: Section) -> Iterator[str]:
    for name in old.__struct_fields__:
        if name not in _FOLLOWS and getattr(old, name) != getattr(new, name):
            yield f"{section} {name}"
