"""Makes one frozen `Settings` from settings.ini, options and environment, or raises every error at once.

`load` reads the file (inifile.py), puts the `--set` options in place of what it says, and has `Reading` (reading.py)
check the values. Each value keeps its origin, so that `describe` can print it; the texts that it prints have their
secrets masked from the beginning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from operate import installation
from operate.settings import include, schema
from operate.settings.checks import is_loopback
from operate.settings.conditions import Condition, Term
from operate.settings.errors import Problem, SettingsError
from operate.settings.inifile import apply_option, read_ini
from operate.settings.model_rules import ModelRule, TargetRef
from operate.settings.reading import Reading
from operate.settings.sections import (
    Admission,
    Aliases,
    BatchSettings,
    Breaker,
    CacheSettings,
    Client,
    CountingSettings,
    Hook,
    Include,
    Limits,
    Logging,
    Pool,
    Responses,
    Retry,
    Server,
    Shared,
    Telemetry,
    Timeouts,
    Translate,
    Usage,
    Value,
)
from operate.settings.upstreams import Upstream, password_of

__all__ = [
    "Admission",
    "Aliases",
    "BatchSettings",
    "Breaker",
    "CacheSettings",
    "Client",
    "Condition",
    "CountingSettings",
    "Limits",
    "Logging",
    "ModelRule",
    "Pool",
    "Problem",
    "Responses",
    "Retry",
    "Server",
    "Settings",
    "SettingsError",
    "Shared",
    "TargetRef",
    "Term",
    "Timeouts",
    "Translate",
    "Upstream",
    "is_loopback",
    "load",
    "read",
]

SHIPPED = installation.SHIPPED
"""The settings file that comes with the program."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. upstreams: in the order of the file, also those that are off. models: in the order of the file, but
    lines of one pattern are together (see model_rules.py). prices, sizes: the numbers of each line of [prices] and
    [sizes], by pattern. files: those that were included, and folders that were searched for some. Two Settings are
    equal when their values are, wherever these come from."""

    server: Server
    limits: Limits
    timeouts: Timeouts
    pool: Pool
    retry: Retry
    breaker: Breaker
    admission: Admission
    responses: Responses
    cache: CacheSettings
    counting: CountingSettings
    batches: BatchSettings
    usage: Usage
    shared: Shared
    translate: Translate
    logging: Logging
    aliases: Aliases
    telemetry: Telemetry
    include: Include
    upstreams: Mapping[str, Upstream]
    models: tuple[ModelRule, ...]
    clients: tuple[Client, ...]
    hooks: tuple[Hook, ...]
    prices: Mapping[str, tuple[float, ...]]
    sizes: Mapping[str, tuple[int, int]]
    file: str = field(compare=False)
    values: tuple[Value, ...] = field(compare=False, repr=False)
    files: tuple[str, ...] = field(default=(), compare=False)

    def describe(self) -> list[str]:
        """The lines of --print-config: every value in force, with secrets masked, and where each comes from."""
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
        """Every secret in force, longest first. Nothing that the proxy writes may contain one of them."""
        found = {key for client in self.clients for key in client.plain_keys}
        for upstream in self.upstreams.values():
            found |= upstream.secrets()
        found |= {password_of(self.pool.proxy), password_of(self.shared.url), self.server.tls_key_password}
        for header in (*self.telemetry.headers, *(header for hook in self.hooks for header in hook.headers)):
            if not header.public:
                found |= {header.value, header.value.removeprefix("Bearer ").removeprefix("Basic ").strip()}
        return tuple(sorted(filter(None, found), key=lambda secret: (-len(secret), secret)))


def load(
    path: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings of the file `path` (None: the one that installation.settings_file finds). overrides: options
    "section.key=value", which replace what the file says. Raises SettingsError with every error, also for a file that
    cannot be read."""
    file = Path(path) if path is not None else installation.settings_file()
    name = installation.SHIPPED_NAME if installation.is_shipped(file) else include.short(file)
    if path is None and not file.exists():
        hint = "cannot be read: there is none; put it beside proxy.py, or name another file with --config FILE"
        raise SettingsError([Problem(name, 0, "", "", hint)])
    text = include.text_of(file, name)
    return read(text, name, overrides, environ, file.resolve().parent, file.resolve())


def read(
    text: str,
    file: str = "settings.ini",
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    folder: Path = SHIPPED.parent,
    path: Path | None = None,
) -> Settings:
    """The settings of a text. file: its name in messages. folder: where its relative paths start. path: of the file,
    which no other may include. Raises SettingsError."""
    sections, problems = read_ini(text.replace("\r\n", "\n"), file)
    first = [option for option in overrides if option.startswith(f"{include.SECTION}.")]
    for option in first:
        problems += apply_option(option, sections, tuple(schema.NAMED))
    files = include.Files(environ, problems=problems)
    files.add(sections, folder, (path,) if path is not None else ())
    for option in overrides:
        if option not in first:
            problems += apply_option(option, files.sections, tuple(schema.NAMED))
    try:
        parts = Reading(file, environ, folder, files.sections, files.problems).parts()
    except SettingsError as error:
        error.files = tuple(files.files)
        raise
    return Settings(**parts, files=tuple(files.files))
