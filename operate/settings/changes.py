"""What a running proxy takes over of changed settings, and what has changed, by the names that the file has for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from operate.settings import schema
from operate.settings.errors import Problem, SettingsError
from operate.settings.load import Settings, is_loopback

AT_START = ("host", "port", "workers")
"""Keys of [server] that only a start can change."""


def followed(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """`new` as far as a running proxy can follow it, and the names of what waits for a restart. Raises SettingsError
    where that would leave the door open."""
    waits = [f"[server] {key}" for key in AT_START if getattr(old.server, key) != getattr(new.server, key)]
    kept = {key: getattr(old.server, key) for key in AT_START}
    if not new.clients and not is_loopback(old.server.host):
        message = f"the proxy still listens on {old.server.host}: without any [client], only after a restart"
        raise SettingsError([Problem(new.file, 0, "", "", message)])
    return dataclasses.replace(new, server=dataclasses.replace(new.server, **kept)), waits


def changed(old: Settings, new: Settings) -> list[str]:
    """Names such as "[server] idle_timeout", "[upstream groq] api_key", "[client me] removed", "[models]". No values:
    they may be secrets."""
    names: list[str] = []
    for section in schema.PLAIN:
        names += _fields(f"[{section}]", getattr(old, section), getattr(new, section))
    upstreams = list(_named("upstream", old.upstreams, new.upstreams))
    if old.timeouts != new.timeouts:  # which most of them have taken over
        upstreams = [name for name in upstreams if not name.endswith("] timeouts")]
    names += upstreams
    if _rules(old) != _rules(new):
        names.append("[models]")
    before, after = ({client.name: client for client in settings.clients} for settings in (old, new))
    return [*names, *_named("client", before, after)]


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
    """Without the lines that they stand on."""
    return [(rule.pattern, rule.targets, rule.condition) for rule in settings.models]


def _fields(section: str, old: Any, new: Any) -> Iterator[str]:
    for field in dataclasses.fields(old):
        if field.init and field.name != "off_because" and getattr(old, field.name) != getattr(new, field.name):
            yield f"{section} {field.name}"
