"""From findings to the [upstream] section that fits, written as settings.ini has it.

Only keys that say something: what a preset or the default says already is left out. A line that differs from what is in
force has a remark above it (the file knows none beside a value). Of secrets nothing is written: they stay in the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import urlsplit

from console.doctor.findings import Finding
from gateway.flow.learned_quirks import Lesson
from gateway.routing.upstreams import HABITS
from operate.settings.load import Upstream
from operate.settings.presets import PRESETS
from operate.settings.schema_upstream import UPSTREAM
from translate import dialects
from translate.chat.dialect import CHAT

_WHERE = ("protocol", "base_url", "add_v1", "key_header", "api_version", "count_tokens", "prompt_cache_key")
KEYS = tuple(key for key in UPSTREAM if key in _WHERE or key in HABITS)
"""What it writes, in the order of the file; how a section says a key is how the settings' dataclass names it."""

DEFAULTS = {key: default for key in KEYS if (default := UPSTREAM[key].default) is not None}
DEFAULTS |= {"count_tokens": "true"}  # what "auto" comes to where it matters
LISTS = ("drop", "rename")
_HEEDING = (CHAT.name,)  # protocols that output_schema may name
_LOCAL = ("127.0.0.1", "localhost", "::1")


def of_lessons(learned: Iterable[Lesson]) -> dict[str, str]:
    """Writes as settings what the refusals of the upstream taught."""
    drop, rename = [], []
    found: dict[str, str] = {}
    for lesson in learned:
        if lesson.field == "stream_options":
            found["stream_options"] = "false"
        elif lesson.field in ("reasoning_effort", "reasoning"):
            found["reasoning_effort"] = "false"
        elif lesson.instead in ("max_tokens", "max_completion_tokens"):
            found["max_tokens_field"] = lesson.instead
        elif lesson.instead:
            rename.append(f"{lesson.field}={lesson.instead}")
        elif not lesson.beside and not lesson.field.startswith("x_"):  # ours, which nobody sends
            drop.append(lesson.field)
    found |= {"drop": ", ".join(drop)} if drop else {}
    return found | ({"rename": ", ".join(rename)} if rename else {})


def merged(by_protocol: Mapping[str, list[Finding]], learned: Mapping[str, list[Lesson]]) -> dict[str, str]:
    """Makes one answer for a section, because its keys hold for all of its protocols."""
    found: dict[str, str] = {}
    for protocol, findings in by_protocol.items():
        for settings in [of_lessons(learned.get(protocol, [])), *(finding.settings for finding in findings)]:
            for key, value in settings.items():
                before = found.get(key, "") if key in LISTS else ""
                found[key] = _together(before, value)
    ignoring = {name for name, findings in by_protocol.items() if any("output_schema" in f.settings for f in findings)}
    heeding = [name for name in by_protocol if name in _HEEDING and name not in ignoring]
    if ignoring and heeding:
        found["output_schema"] = heeding[0]
    return found


def lines(
    upstream: Upstream, written: Collection[str], usable: list[str], advised: Mapping[str, str], server: str = ""
) -> list[str]:
    """The section. upstream: as the settings have it. written: the keys that its section has itself. usable: protocols
    that work. server: its Server header."""
    now = {key: _written(upstream, key) for key in KEYS}
    preset = upstream.preset or guessed(upstream, server)
    brought = {key: value for key, value in PRESETS.get(preset, {}).items() if key in KEYS and key not in written}
    fits: dict[str, str] = now | brought | ({"protocol": ", ".join(usable)} if usable else {}) | _joined(now, advised)
    implied = DEFAULTS | PRESETS.get(preset, {})
    out = [f"[upstream {upstream.name}]"]
    if preset:
        out += ([] if upstream.preset == preset else ["# new"]) + [f"preset = {preset}"]
    for key in KEYS:
        changed = fits[key] != now[key]
        if fits[key] != implied.get(key) and (key != "count_tokens" or _may_count(fits["protocol"])):
            out += [f"# was {now[key] or 'empty'}"] * changed + [f"{key} = {fits[key]}".rstrip()]
        elif changed and key in written:
            out.append(f"# {key}: was {now[key]}; without that line it fits")
    return out


def _may_count(protocols: str) -> bool:
    """Whether the settings decide if it counts tokens."""
    return any(dialects.of(name.strip()).counts_by_choice for name in protocols.split(","))


def guessed(upstream: Upstream, server: str) -> str:
    """The preset of a server that can be told by its address, or by what it calls itself; "" for none."""
    if "llama.cpp" in server.lower():
        return "llamacpp"
    host = urlsplit(upstream.base_url).hostname or ""
    for name, keys in PRESETS.items():
        theirs = urlsplit(keys.get("base_url", "")).hostname or ""
        if theirs and theirs == host and theirs not in _LOCAL:
            return name
    return ""


def _joined(now: Mapping[str, str], advised: Mapping[str, str]) -> dict[str, str]:
    """drop and rename come on top of those in force."""
    return {key: _together(now[key], value) if key in LISTS else value for key, value in advised.items()}


def _together(before: str, more: str) -> str:
    return ", ".join(dict.fromkeys(filter(None, [*before.split(", "), *more.split(", ")])))


def _written(upstream: Upstream, key: str) -> str:
    value = getattr(upstream, key)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join("=".join(each) if isinstance(each, tuple) else each for each in value)
    return str(value)
