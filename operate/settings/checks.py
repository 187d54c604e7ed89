"""The checks that need several values: each is right by itself, and together they make no sense, or are not safe.

Clients' keys must differ, a first wait must not be longer than the longest, a key must fit its certificate, and a proxy
that other machines can reach must have clients.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from operate import client_keys, key_sources, tls
from operate.settings.errors import Problem, did_you_mean
from operate.settings.inifile import Entry, Section
from operate.settings.sections import UNIX, Client, Hook

_ORDERED = (
    ("retry", "backoff", "max_backoff", 1), ("breaker", "cooldown", "max_cooldown", 1),
    ("cache", "entry_kb", "mb", 1024),
)  # fmt: skip
"""Of a section: a key, another one whose value it must not exceed, and how many units of the one are in the other."""

TLS_KEYS = ("tls_cert", "tls_key", "tls_key_password", "tls_client_ca")

Sections = Mapping[str, Section]
"""As the file has them, by name."""

Values = Mapping[str, Any]
"""Of a section, by key; None where one could not be read, which is reported already."""


def of_all(
    plain: Mapping[str, Values], clients: Sequence[Client], upstreams: Collection[str], written: Sections
) -> Iterator[Problem]:
    """plain: the sections that are there once. upstreams: their names."""
    yield from _same_keys(clients, written)
    yield from _known_upstreams(clients, upstreams, written)
    yield from _waits(plain, written)
    yield from _let_in(plain["server"]["host"], clients, written)
    yield from _tls(plain["server"], written)


def of_hook(hook: Hook, section: Section) -> Iterator[Problem]:
    if bool(hook.url) == bool(hook.python):
        message = "a hook has either a url or a python file"
        yield Problem(section.file, section.line, section.name, "", message)
    elif hook.python and not Path(hook.python).is_file():
        yield _at(section.entries["python"], section.name, "python", f"there is no file {hook.python}")


def of_signing(values: Values, section: Section) -> Iterator[Problem]:
    """The problems of an upstream that lacks something to sign requests for AWS."""
    for key in ("api_key", "keys"):
        texts = (values[key] or ()) if key == "keys" else (values[key] or "",)
        if values["base_url"] and any(text.startswith(key_sources.AWS) for text in texts):
            for needed in ("region", "aws_service"):
                if values[needed] == "":
                    message = f"aws: needs {needed}, which the section does not say (nor a preset)"
                    line = section.entries[key].line if key in section.entries else section.line
                    yield Problem(section.file, line, section.name, key, message)


def _same_keys(clients: Sequence[Client], written: Sections) -> Iterator[Problem]:
    owner: dict[bytes, str] = {}
    for client in clients:
        for digest in map(client_keys.digest_in_settings, client.key or ()):
            if owner.setdefault(digest, client.name) != client.name:
                section = f"client {client.name}"
                message = f"is the same as the key of [client {owner[digest]}]; each client needs its own"
                yield _at(written[section].entries["key"], section, "key", message)


def _known_upstreams(clients: Sequence[Client], upstreams: Collection[str], written: Sections) -> Iterator[Problem]:
    """A client that may use only an upstream with a mistyped name could use none."""
    for client in clients:
        for name in client.upstreams or ():
            if name not in upstreams:
                section = f"client {client.name}"
                message = f"there is no [upstream {name}]" + did_you_mean(name, upstreams)
                yield _at(written[section].entries["upstreams"], section, "upstreams", message)


def _waits(plain: Mapping[str, Values], written: Sections) -> Iterator[Problem]:
    """A first wait that is longer than the longest wait, which would cut it silently; and the like."""
    for name, first, most, times in _ORDERED:
        values = plain[name]
        if None in (values[first], values[most]) or values[first] <= values[most] * times:
            continue
        entries = _entries(written, name)  # at least one is written, since the defaults fit
        key = first if first in entries else most
        message = f"{first} = {values[first]:g} must not be larger than {most} = {values[most]:g}"
        yield _at(entries[key], name, key, message)


def _let_in(host: str | None, clients: Sequence[Client], written: Sections) -> Iterator[Problem]:
    if host is None or clients or is_loopback(host):
        return
    message = (
        f"other machines can reach {host}, and no [client NAME] section says who may use the proxy: "
        "add '[client me]' with a line 'key = ...' of 16 or more characters, or set host = 127.0.0.1"
    )
    yield _at(written["server"].entries["host"], "server", "host", message)  # it is written: the default is loopback


def _tls(server: Values, written: Sections) -> Iterator[Problem]:
    """Checks the files together: the key must belong to the certificate, and the password to the key."""
    entries = {name: entry for name, entry in _entries(written, "server").items() if name in TLS_KEYS}
    given = {name: server[name] for name in entries}
    if None in given.values():
        return
    if not given.get("tls_cert"):
        for name in (name for name, value in given.items() if value):
            yield _at(entries[name], "server", name, "has no effect without tls_cert")
        return
    try:
        tls.server_context(*(server[name] for name in TLS_KEYS))
    except tls.Fault as fault:
        yield _at(entries[fault.key], "server", fault.key, fault.words)


def _entries(written: Sections, section: str) -> Mapping[str, Entry]:
    found = written.get(section)
    return found.entries if found else {}


def _at(entry: Entry, section: str, key: str, message: str) -> Problem:
    return Problem(entry.file, entry.line, section, key, message)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host` (addresses or names, separated by commas)."""
    return all(_is_loopback(each.strip()) for each in host.split(","))


def _is_loopback(host: str) -> bool:
    if host.startswith(UNIX):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
