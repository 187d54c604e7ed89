"""settings.ini, options and environment -> one frozen `Settings`, or every fault at once.

`load` reads the file (inifile), lays `--set` options over it, expands `${...}` (environment), reads each
value by its row (schema, kinds), then checks what only the whole can tell: targets that exist, keys that
differ, nobody let in unasked. Each value keeps its origin, so that `describe` can say where it came from;
what `describe` keeps is text with the secrets already masked.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from operate import schema
from operate.environment import Expanded, expand, read_secret
from operate.inifile import Entry, Section, apply_option, read_ini
from operate.kinds import is_secret_header
from operate.presets import PRESETS
from operate.problems import Problem, SettingsError, did_you_mean, shown
from operate.schema import Key
from operate.sections import (
    Aliases,
    Client,
    Logging,
    ModelRule,
    Pool,
    Responses,
    Server,
    TargetRef,
    Timeouts,
    Translate,
    Value,
)
from operate.upstreams import Upstream, why_off

__all__ = [
    "Aliases",
    "Client",
    "Logging",
    "ModelRule",
    "Pool",
    "Problem",
    "Responses",
    "Server",
    "Settings",
    "SettingsError",
    "TargetRef",
    "Timeouts",
    "Translate",
    "Upstream",
    "is_loopback",
    "load",
    "read",
]

SHIPPED = Path(__file__).resolve().parent.parent / "settings.ini"
"""The file used where no other is named: the one beside proxy.py."""

LARGEST_FILE = 4 << 20
"""Bytes of a settings file: far above any, far below a log or device named by mistake."""

_OWN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. upstreams and models are in file order; upstreams that are switched off are among them.
    Equality is that of the values, wherever they came from."""

    server: Server
    timeouts: Timeouts
    pool: Pool
    responses: Responses
    translate: Translate
    logging: Logging
    aliases: Aliases
    upstreams: Mapping[str, Upstream]
    models: tuple[ModelRule, ...]
    clients: tuple[Client, ...]
    file: str = field(compare=False)
    values: tuple[Value, ...] = field(compare=False, repr=False)

    def describe(self) -> list[str]:
        """The lines of --print-config: every value in force, secrets masked, and where each came from."""
        width = min(56, max((len(f"{value.key} = {value.text}") for value in self.values), default=0))
        lines: list[str] = []
        section = None
        for value in self.values:
            if value.section != section:
                section = value.section
                lines += [""] * bool(lines) + [f"[{section}]"]
                upstream = self.upstreams.get(section.removeprefix("upstream "))
                if section.startswith("upstream ") and upstream and not upstream.enabled:
                    lines.append(f"# off: {upstream.off_because}")
            lines.append(f"{f'{value.key} = {value.text}'.rstrip():<{width}}  # {value.origin}")
        return lines

    def secrets(self) -> tuple[str, ...]:
        """Every secret in force, longest first: what nothing that we write may contain."""
        found = {client.key for client in self.clients}
        for upstream in self.upstreams.values():
            found.add(upstream.api_key)
            for name, value in upstream.headers:
                if is_secret_header(name):
                    found |= {value, value.removeprefix("Bearer ").removeprefix("Basic ").strip()}
        if self.pool.proxy:
            found.add(urlsplit(self.pool.proxy).password or "")
        return tuple(sorted(filter(None, found), key=lambda secret: (-len(secret), secret)))


def load(
    path: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings of the file `path` (None: the shipped one), with `overrides` ("section.key=value") laid
    over. SettingsError holds every fault, an unreadable file among them."""
    file = Path(path) if path is not None else SHIPPED
    name = _short(file)
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        hint = "" if path is not None else "; it belongs beside proxy.py, or name another with --config FILE"
        raise SettingsError([Problem(name, 0, "", "", f"cannot be read: {error.strerror}{hint}")]) from error
    if len(content) > LARGEST_FILE:
        raise SettingsError([Problem(name, 0, "", "", f"is over {LARGEST_FILE} bytes: not a settings file")])
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsError([Problem(name, line, "", "", "is not UTF-8 text")]) from None
    return read(text, name, overrides, environ, file.resolve().parent)


def read(
    text: str,
    file: str = "settings.ini",
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    folder: Path = SHIPPED.parent,
) -> Settings:
    """The same for the text of a file. `file` is its name in messages, `folder` where its relative paths
    start."""
    sections, problems = read_ini(text.replace("\r\n", "\n"), file)
    for option in overrides:
        problems += apply_option(option, sections, tuple(schema.NAMED))
    reading = _Reading(file, environ, folder, sections, problems)
    return reading.settings()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host` (an address or name)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _short(file: Path) -> str:
    """The path as it is best recognised: relative where it lies below the working folder."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(file)


@dataclass(slots=True)
class _Reading:
    """One reading, from sections to Settings. A value that cannot be read is a problem and is None from
    then on, so that the rest is still checked and one fault gives one message."""

    file: str
    environ: Mapping[str, str]
    folder: Path
    sections: Mapping[str, Section]
    problems: list[Problem]
    values: list[Value] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<_Reading {self.file}: {len(self.sections)} sections, {len(self.problems)} problems>"

    def settings(self) -> Settings:
        self._unknown_sections()
        plain = {
            name: self._values(name, self.sections.get(name), rows) for name, rows in schema.PLAIN.items()
        }
        upstreams = {
            name: self._upstream(name, section, plain["timeouts"])
            for name, section in self._named("upstream")
        }
        models = tuple(self._models(upstreams))
        clients = [
            Client(name, **self._values(section.name, section, schema.CLIENT))
            for name, section in self._named("client")
        ]
        self._unlike_keys(clients)
        self._let_in(plain["server"]["host"], clients)
        if not any(name.startswith("upstream") for name in self.sections):
            self._whole(
                "there is no [upstream NAME] section; the settings.ini that is shipped has some to copy"
            )
        if self.problems:
            raise SettingsError(self.problems)
        return Settings(
            server=Server(**plain["server"]),
            timeouts=Timeouts(**plain["timeouts"]),
            pool=Pool(**plain["pool"]),
            responses=Responses(**plain["responses"]),
            translate=Translate(**plain["translate"]),
            logging=Logging(**plain["logging"]),
            aliases=Aliases(**plain["aliases"]),
            upstreams=MappingProxyType({name: upstream for name, upstream in upstreams.items() if upstream}),
            models=models,
            clients=tuple(clients),
            file=self.file,
            values=tuple(self.values),
        )

    def _unknown_sections(self) -> None:
        known = [*schema.PLAIN, schema.MODELS, *(f"{kind} NAME" for kind in schema.NAMED)]
        for name, section in self.sections.items():
            kind, _, own = name.partition(" ")
            if kind in schema.NAMED:
                if not own:
                    self._section_problem(section, f"a name is missing: [{kind} NAME]")
                elif not _OWN_NAME.fullmatch(own):
                    self._section_problem(section, "its name may hold letters, digits, '-', '_' and '.' only")
            elif name not in known:
                near = did_you_mean(
                    kind, schema.NAMED if own else [*schema.PLAIN, schema.MODELS, *schema.NAMED]
                )
                self._section_problem(
                    section, "unknown section" + (near or f"; there are {', '.join(known)}")
                )

    def _named(self, kind: str) -> Iterator[tuple[str, Section]]:
        for name, section in self.sections.items():
            if name.startswith(kind + " "):
                yield name.removeprefix(kind + " "), section

    def _values(
        self, name: str, section: Section | None, rows: Mapping[str, Key], preset: str = ""
    ) -> dict[str, Any]:
        """Every key of `rows` -> its value: the section's, else the preset's, else the default; None where it cannot
        be read."""
        entries = section.entries if section else {}
        given = PRESETS.get(preset, {})
        for key, entry in entries.items():
            if key not in rows:
                self._problem(entry, name, key, "unknown key" + _nearest_key(key, name, rows))
        found = {}
        for key, row in rows.items():
            if key in given and key not in entries:
                found[key] = row.kind.parse(given[key])
                self._show(name, key, row.kind.show(found[key]), f"preset {preset}")
            else:
                found[key] = self._value(name, section, key, row, entries.get(key))
        return found

    def _value(self, name: str, section: Section | None, key: str, row: Key, entry: Entry | None) -> Any:
        if entry is None:
            if row.default is None:
                if section:
                    self.problems.append(
                        Problem(
                            section.file, section.line, name, key, f"is missing; it is {row.kind.expects}"
                        )
                    )
                return None
            value = row.kind.parse(row.default)
            self._show(name, key, row.kind.show(value), "default")
            return value
        expanded = self._expand(entry, name, key)
        if expanded is None:
            return None
        try:
            value = self._parse(row, expanded.text)
        except ValueError as error:
            self._problem(entry, name, key, _fault(row, expanded, str(error)))
            return None
        self._show(name, key, row.kind.show(value), _origin(entry, expanded))
        return value

    def _parse(self, row: Key, text: str) -> Any:
        if "\n" in text and not row.kind.lines:
            raise ValueError("goes on over several lines: an indented line belongs to the key above it")
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            raise ValueError("stands in quotes; values are written without")
        return row.kind.parse(read_secret(text, self.folder) if row.kind.from_file else text)

    def _expand(self, entry: Entry, name: str, key: str) -> Expanded | None:
        expanded = expand(entry.value, self.environ)
        for fault in expanded.faults:
            self._problem(entry, name, key, fault)
        return None if expanded.faults else expanded

    def _upstream(self, name: str, section: Section, timeouts: Mapping[str, Any]) -> Upstream | None:
        entry = section.entries.get("preset")
        preset = expand(entry.value, self.environ).text.lower() if entry else ""
        values = self._values(section.name, section, schema.UPSTREAM, preset)
        key, url = section.entries.get("api_key"), section.entries.get("base_url")
        off = why_off(
            values["enabled"],
            key_written=key is not None,
            has_key=bool(values["api_key"]),
            forwards=bool(values["forward_client_key"]),
            base_from_env=bool(url and expand(url.value, self.environ).used),
            names=expand(key.value, self.environ).named if key else [],
        )
        asks = values["count_tokens"]
        if asks == "true" and values["protocol"] and "messages" not in values["protocol"]:
            self._problem(
                section.entries["count_tokens"], section.name, "count_tokens", "needs protocol = messages"
            )
        if values["base_url"] is None or values["protocol"] is None:
            return None
        own = {each: values.pop(each) for each in ("first_byte", "idle", "request", "stream")}
        values["enabled"], values["off_because"] = not off, off
        values["count_tokens"] = "messages" in values["protocol"] if asks == "auto" else asks == "true"
        values["timeouts"] = Timeouts(
            **{**timeouts, **{each: value for each, value in own.items() if value is not None}}
        )
        return Upstream(name=name, **values)

    def _models(self, upstreams: Mapping[str, Upstream | None]) -> Iterator[ModelRule]:
        section = self.sections.get(schema.MODELS)
        for pattern, entry in section.entries.items() if section else ():
            expanded = self._expand(entry, schema.MODELS, pattern)
            if expanded is None:
                continue
            targets = []
            for text in expanded.text.split(","):
                name, slash, model = text.strip().partition("/")  # a model's own name may hold slashes
                fault = _target_fault(name, slash, model, upstreams)
                if fault:
                    self._problem(entry, schema.MODELS, pattern, fault)
                targets.append(TargetRef(name, model or None))
            self._show(schema.MODELS, pattern, expanded.text, _origin(entry, expanded))
            yield ModelRule(pattern, tuple(targets), entry.line)

    def _unlike_keys(self, clients: Sequence[Client]) -> None:
        owner: dict[str, str] = {}
        for client in clients:
            if client.key and owner.setdefault(client.key, client.name) != client.name:
                section = f"client {client.name}"
                entry = self.sections[section].entries["key"]
                self._problem(entry, section, "key", f"is the same as that of [client {owner[client.key]}]")

    def _let_in(self, host: str | None, clients: Sequence[Client]) -> None:
        if host is None or clients or is_loopback(host):
            return
        entry = self.sections["server"].entries[
            "host"
        ]  # the default is loopback, so that somebody wrote this one
        self._problem(
            entry,
            "server",
            "host",
            f"{host} can be reached from other machines, and no [client NAME] section says who may come in: "
            "add '[client me]' with a line 'key = ...' of 16 or more characters, or listen on 127.0.0.1",
        )

    def _show(self, section: str, key: str, text: str, origin: str) -> None:
        self.values.append(Value(section, key, text, origin))

    def _problem(self, entry: Entry, section: str, key: str, message: str) -> None:
        self.problems.append(Problem(entry.file, entry.line, section, key, message))

    def _section_problem(self, section: Section, message: str) -> None:
        self.problems.append(Problem(section.file, section.line, section.name, "", message))

    def _whole(self, message: str) -> None:
        self.problems.append(Problem(self.file, 0, "", "", message))


def _nearest_key(key: str, section: str, rows: Mapping[str, Key]) -> str:
    """What an unknown key may have meant: one of this section, or the same one of another."""
    near = did_you_mean(key, rows)
    if near:
        return near
    for name, others in (schema.PLAIN | schema.NAMED).items():
        if key in others:
            return f"; [{name}] has one" if name in schema.PLAIN else f"; [{name} NAME] has one"
    return f"; [{section}] has {', '.join(rows)}"


def _fault(row: Key, expanded: Expanded, words: str) -> str:
    """The message about a value that cannot be read. Values of private kinds are not repeated."""
    if not words:
        what = (
            "is empty, not"
            if not expanded.text
            else "is not"
            if row.kind.private
            else f"{shown(expanded.text)} is not"
        )
        words = f"{what} {row.kind.expects}"
        if " #" in expanded.text or " ;" in expanded.text:
            words += "; a comment stands on a line of its own"
    if expanded.used:
        words += f" (from the environment: {', '.join(expanded.used)})"
    return words


def _target_fault(name: str, slash: str, model: str, upstreams: Mapping[str, Upstream | None]) -> str:
    """What is wrong with UPSTREAM[/MODEL], or ""."""
    if not name:
        return "an upstream's name is missing: it is UPSTREAM or UPSTREAM/MODEL, several with commas between"
    if name not in upstreams:
        near = did_you_mean(name, upstreams) or (f"; there are {', '.join(upstreams)}" if upstreams else "")
        return f"there is no upstream {shown(name)}{near}"
    if (slash and not model) or len(model.split()) > 1:
        return f"{shown(f'{name}{slash}{model}')} is not UPSTREAM/MODEL"
    return ""


def _origin(entry: Entry, expanded: Expanded) -> str:
    """One of "settings.ini:12", "settings.ini:12, environment PORT", "settings.ini:12, PORT is not set",
    "--set"."""
    place = f"{entry.file}:{entry.line}" if entry.line else entry.file
    if expanded.used:
        return f"{place}, environment {', '.join(expanded.used)}"
    if expanded.named:
        return f"{place}, default: {', '.join(expanded.named)} not set"
    return place
