"""Turns the sections of a settings file into the parts of `Settings`, and collects every error.

Each value is expanded (environment.py), read by its row (schema.py), and recorded with its origin for --print-config.
Then come the checks that need several values (checks.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct, field

from operate import key_sources
from operate.settings import checks, presets, schema, schema_upstream, sections
from operate.settings.conditions import Term
from operate.settings.environment import Expanded, expand, read_secret
from operate.settings.errors import Problem, SettingsError, did_you_mean, shown
from operate.settings.inifile import Entry, Section
from operate.settings.list_types import split
from operate.settings.model_rules import ModelRule, arranged, parse_key, parse_prices, parse_sizes, parse_targets
from operate.settings.presets import PRESETS
from operate.settings.rows import Key
from operate.settings.sections import Client, Hook, Timeouts, Value
from operate.settings.upstreams import Upstream, why_off
from operate.settings.value_types import COMMENT
from translate import dialects

CLASSES: Mapping[str, Any] = {
    "server": sections.Server,
    "limits": sections.Limits,
    "timeouts": sections.Timeouts,
    "pool": sections.Pool,
    "retry": sections.Retry,
    "breaker": sections.Breaker,
    "admission": sections.Admission,
    "responses": sections.Responses,
    "cache": sections.CacheSettings,
    "counting": sections.CountingSettings,
    "batches": sections.BatchSettings,
    "usage": sections.Usage,
    "shared": sections.Shared,
    "translate": sections.Translate,
    "logging": sections.Logging,
    "aliases": sections.Aliases,
    "telemetry": sections.Telemetry,
    "include": sections.Include,
}
"""The classes of the sections that a file has at most once."""

Line = TypeVar("Line")

_OWN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class Reading(Struct):
    """One reading of a settings file. A value that cannot be read is reported and is None from then on, so that the
    rest is still checked and each error is reported once."""

    file: str
    environ: Mapping[str, str]
    folder: Path
    sections: Mapping[str, Section]
    problems: list[Problem]
    values: list[Value] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Reading {self.file}: {len(self.sections)} sections, {len(self.problems)} problems>"

    def parts(self) -> dict[str, Any]:
        """The fields of Settings. Raises SettingsError with every error."""
        self._unknown_sections()
        plain = {name: self._values(name, self.sections.get(name), rows) for name, rows in schema.PLAIN.items()}
        upstreams = {
            name: self._upstream(name, section, plain["timeouts"]) for name, section in self._named("upstream")
        }
        models = arranged(self._models(upstreams))
        prices = dict(self._lines(schema.PRICES, parse_prices))
        sizes = dict(self._lines(schema.SIZES, parse_sizes))
        clients = [
            Client(name, **self._values(section.name, section, schema_upstream.CLIENT))
            for name, section in self._named("client")
        ]
        hooks = list(self._hooks())
        self.problems += checks.of_all(plain, clients, upstreams, self.sections)
        if not any(name.startswith("upstream") for name in self.sections):
            self._whole("there is no [upstream NAME] section: add one; the shipped settings.ini has examples")
        if self.problems:
            raise SettingsError(self.problems)
        return {
            **{name: CLASSES[name](**values) for name, values in plain.items()},
            "upstreams": MappingProxyType({name: upstream for name, upstream in upstreams.items() if upstream}),
            "models": models,
            "prices": MappingProxyType(prices),
            "sizes": MappingProxyType(sizes),
            "clients": tuple(clients),
            "hooks": tuple(hooks),
            "file": self.file,
            "values": tuple(self.values),
        }

    def _unknown_sections(self) -> None:
        known = [*schema.PLAIN, *schema.LINES, *(f"{kind} NAME" for kind in schema.NAMED)]
        for name, section in self.sections.items():
            kind, _, own = name.partition(" ")
            if kind in schema.NAMED:
                if not own:
                    self._section_problem(section, f"the section has no name; write [{kind} NAME]")
                elif not _OWN_NAME.fullmatch(own):
                    self._section_problem(
                        section, "the name of the section may have only letters, digits, '-', '_' and '.'"
                    )
            elif name not in known:
                near = did_you_mean(kind, schema.NAMED if own else [*schema.PLAIN, *schema.LINES, *schema.NAMED])
                self._section_problem(section, "unknown section" + (near or f"; the sections are {', '.join(known)}"))

    def _named(self, kind: str) -> Iterator[tuple[str, Section]]:
        for name, section in self.sections.items():
            if name.startswith(kind + " "):
                yield name.removeprefix(kind + " "), section

    def _values(self, name: str, section: Section | None, rows: Mapping[str, Key], preset: str = "") -> dict[str, Any]:
        """The value of every key of `rows`: the section's, else the preset's, else the default. A value that cannot be
        read is None."""
        entries = section.entries if section else {}
        given = PRESETS.get(preset, {})
        for key, entry in entries.items():
            if key not in rows:
                self._problem(entry, name, key, "unknown key" + _nearest_key(key, name, rows))
        found: dict[str, Any] = {}
        for key, row in rows.items():
            if key in given and key not in entries:
                try:
                    found[key] = row.kind.parse(presets.filled(given[key], found, self.environ))
                except presets.Lacking as lacking:
                    self._lacks(section, name, str(lacking), preset)
                    found[key] = None
                    continue
                self._show(name, key, row.kind.show(found[key]), f"preset {preset}")
            else:
                found[key] = self._value(name, section, key, row, entries.get(key))
        return found

    def _value(self, name: str, section: Section | None, key: str, row: Key, entry: Entry | None) -> Any:
        if entry is None:
            if row.default is None:
                if section:
                    self.problems.append(
                        Problem(section.file, section.line, name, key, f"is missing; it must be {row.kind.expects}")
                    )
                return None
            value = row.kind.parse(row.default)
            self._show(name, key, row.kind.show(value), "default")
            return value
        expanded = self._expand(entry, name, key)
        if expanded is None:
            return None
        try:
            value = self._parse(row, expanded.text, entry.folder or self.folder)
        except ValueError as error:
            self._problem(entry, name, key, _fault(row, expanded, str(error)))
            return None
        self._show(name, key, row.kind.show(value), _origin(entry, expanded))
        return value

    def _parse(self, row: Key, text: str, folder: Path) -> Any:
        if "\n" in text and not row.kind.lines:
            raise ValueError("has several lines; an indented line belongs to the key above it")
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            raise ValueError("has quotes around it; write values without quotes")
        if row.kind.many:
            found = (read_secret(each, folder, self.environ) for each in split(text))
            text = ",".join(key_sources.located(each, folder) for each in found)
        elif row.kind.from_file:
            text = key_sources.located(read_secret(text, folder, self.environ), folder)
        if row.kind.is_path and text:
            text = str(folder / text)
        return row.kind.parse(text)

    def _expand(self, entry: Entry, name: str, key: str) -> Expanded | None:
        expanded = expand(entry.value, self.environ)
        for fault in expanded.faults:
            self._problem(entry, name, key, fault)
        return None if expanded.faults else expanded

    def _upstream(self, name: str, section: Section, timeouts: Mapping[str, Any]) -> Upstream | None:
        entry = section.entries.get("preset")
        preset = expand(entry.value, self.environ).text.lower() if entry else ""
        values = self._values(section.name, section, schema_upstream.UPSTREAM, preset)
        url = section.entries.get("base_url")
        written = {key: section.entries[key] for key in ("api_key", "keys") if key in section.entries}
        if values["keys"] and "api_key" not in written:
            values["api_key"] = ""  # the preset's
        for needed in presets.NEEDED.get(preset, ()):
            if values[needed] == "" and values["base_url"]:  # else that says so
                self._lacks(section, section.name, needed, preset)
        if values["api_key"] and values["keys"]:
            self._problem(
                written["keys"], section.name, "keys", "is given together with api_key; write only one of them"
            )
        self.problems += checks.of_signing(values, section)
        off = why_off(
            values["enabled"],
            next(iter(written), ""),
            [name for entry in written.values() for name in expand(entry.value, self.environ).named],
            has_key=bool(values["api_key"] or values["keys"]),
            forwards=bool(values["forward_client_key"]),
            base_from_env=bool(url and expand(url.value, self.environ).used),
        )
        asks = values["count_tokens"]
        counting = [dialect.name for dialect in dialects.every() if dialect.counts_by_choice]
        may_count = any(name in counting for name in values["protocol"] or counting)
        if asks == "true" and not may_count:
            needs = f"true needs protocol = {' or '.join(counting)}"
            self._problem(section.entries["count_tokens"], section.name, "count_tokens", needs)
        if values["base_url"] is None or values["protocol"] is None:
            return None
        own = {each: values.pop(each) for each in ("first_byte", "idle", "request", "stream")}
        values["enabled"], values["off_because"] = not off, off
        values["count_tokens"] = may_count if asks == "auto" else asks == "true"
        values["timeouts"] = Timeouts(
            **{**timeouts, **{each: value for each, value in own.items() if value is not None}}
        )
        return Upstream(name=name, **values)

    def _lacks(self, section: Section | None, name: str, key: str, preset: str) -> None:
        if section is not None:
            problem = Problem(section.file, section.line, name, key, f"is missing; the preset {preset} needs it")
            if problem not in self.problems:  # several of the preset's values may be made of it
                self.problems.append(problem)

    def _models(self, upstreams: Mapping[str, Upstream | None]) -> Iterator[ModelRule]:
        section = self.sections.get(schema.MODELS)
        rules: dict[tuple[str, frozenset[Term]], tuple[ModelRule, str, str, str]] = {}
        for key, entry in section.entries.items() if section else ():
            try:
                pattern, condition = parse_key(key)
            except ValueError as error:
                self._problem(entry, schema.MODELS, key, str(error))
                continue
            expanded = self._expand(entry, schema.MODELS, key)
            if expanded is None:
                continue
            targets, faults = parse_targets(expanded.text, upstreams)
            for fault in faults:
                self._problem(entry, schema.MODELS, key, fault + _comment(expanded.text))
            same = pattern, frozenset(condition.terms if condition else ())
            if same in rules and entry.line:  # an option may replace a line of the file, in any spelling
                first = f"line {line}" if (line := rules[same][0].line) else "--set"
                self._problem(
                    entry, schema.MODELS, key, f"has the same pattern and condition as {first}; remove one of them"
                )
            rule = ModelRule(pattern, targets, entry.line, condition)
            rules[same] = rule, key, expanded.text, _origin(entry, expanded)
        for rule, *words in rules.values():
            self._show(schema.MODELS, *words)
            yield rule

    def _lines(self, name: str, parse: Callable[[str], Line]) -> Iterator[tuple[str, Line]]:
        """Of a section whose keys are patterns of models."""
        section = self.sections.get(name)
        for key, entry in section.entries.items() if section else ():
            expanded = self._expand(entry, name, key)
            if expanded is None:
                continue
            try:
                value = parse(expanded.text)
            except ValueError as error:
                self._problem(entry, name, key, str(error) + _comment(expanded.text))
                continue
            self._show(name, key, expanded.text, _origin(entry, expanded))
            yield key, value

    def _hooks(self) -> Iterator[Hook]:
        for name, section in self._named("hook"):
            hook = Hook(name, **self._values(section.name, section, schema_upstream.HOOK))
            self.problems += checks.of_hook(hook, section)
            yield hook

    def _show(self, section: str, key: str, text: str, origin: str) -> None:
        self.values.append(Value(section, key, text, origin))

    def _problem(self, entry: Entry, section: str, key: str, message: str) -> None:
        self.problems.append(Problem(entry.file, entry.line, section, key, message))

    def _section_problem(self, section: Section, message: str) -> None:
        self.problems.append(Problem(section.file, section.line, section.name, "", message))

    def _whole(self, message: str) -> None:
        self.problems.append(Problem(self.file, 0, "", "", message))


def _nearest_key(key: str, section: str, rows: Mapping[str, Key]) -> str:
    """A hint about an unknown key: the nearest key of this section, or the section that has this key."""
    near = did_you_mean(key, rows)
    if near:
        return near
    for name, others in (schema.PLAIN | schema.NAMED).items():
        if key in others:
            return f"; it belongs to [{name}]" if name in schema.PLAIN else f"; it belongs to [{name} NAME]"
    return f"; the keys of [{section}] are {', '.join(rows)}"


def _fault(row: Key, expanded: Expanded, words: str) -> str:
    """The message about a value that cannot be read. words: what its kind says, "" = only that it is not allowed. The
    values of private kinds are not repeated."""
    if not words:
        what = (
            "is empty, not" if not expanded.text else "is not" if row.kind.private else f"{shown(expanded.text)} is not"
        )
        words = f"{what} {row.kind.expects}"
    words += _comment(expanded.text)
    if expanded.used:
        words += f" (from the environment: {', '.join(expanded.used)})"
    return words


def _comment(text: str) -> str:
    """A hint about a value that cannot be read, where it seems to end with a comment."""
    return "; a comment must have a line of its own" if COMMENT.search(text) else ""


def _origin(entry: Entry, expanded: Expanded) -> str:
    """Where a value comes from: "settings.ini:12", "settings.ini:12, environment PORT", "settings.ini:12, default: PORT
    not set", or "--set"."""
    place = f"{entry.file}:{entry.line}" if entry.line else entry.file
    if expanded.used:
        return f"{place}, environment {', '.join(expanded.used)}"
    if expanded.named:
        return f"{place}, default: {', '.join(expanded.named)} not set"
    return place
