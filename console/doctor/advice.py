"""Makes the [upstream] section that fits the findings, as lines of settings.ini.

Keys whose value is the default, or that of the preset, are left out. A line that differs from the settings in force has
a comment above it. Secrets are not written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import urlsplit

from console.doctor.findings import Finding
from gateway.refusals.learned_quirks import Quirk
from gateway.routing.upstreams import HABITS
from operate.settings.load import Upstream
from operate.settings.presets import PRESETS
from operate.settings.schema_upstream import UPSTREAM
from translate import dialects
from translate.chat.dialect import CHAT

_WHERE = ("protocol", "base_url", "add_v1", "key_header", "api_version", "count_tokens", "prompt_cache_key")
KEYS = tuple(key for key in UPSTREAM if key in _WHERE or key in HABITS)
"""The keys that it may write, in the order of the file; they are also the names of the fields of Upstream."""

DEFAULTS = {key: default for key in KEYS if (default := UPSTREAM[key].default) is not None}
DEFAULTS |= {"count_tokens": "true"}  # what "auto" means if the upstream can count
LISTS = ("drop", "rename")
_HEEDING = (CHAT.name,)  # protocols that output_schema may name
_LOCAL = ("127.0.0.1", "localhost", "::1")


def of_quirks(learned: Iterable[Quirk]) -> dict[str, str]:
    """The learned quirks as settings."""
    drop, rename = [], []
    found: dict[str, str] = {}
    for quirk in learned:
        if quirk.field == "stream_options":
            found["stream_options"] = "false"
        elif quirk.field in ("reasoning_effort", "reasoning"):
            found["reasoning_effort"] = "false"
        elif quirk.instead in ("max_tokens", "max_completion_tokens"):
            found["max_tokens_field"] = quirk.instead
        elif quirk.instead:
            rename.append(f"{quirk.field}={quirk.instead}")
        elif not quirk.beside and not quirk.field.startswith("x_"):  # the doctor's own, which no client sends
            drop.append(quirk.field)
    found |= {"drop": ", ".join(drop)} if drop else {}
    return found | ({"rename": ", ".join(rename)} if rename else {})


def merged(by_protocol: Mapping[str, list[Finding]], learned: Mapping[str, list[Quirk]]) -> dict[str, str]:
    """Joins the settings of all protocols, because the keys of a section hold for all of them."""
    found: dict[str, str] = {}
    for protocol, findings in by_protocol.items():
        for settings in [of_quirks(learned.get(protocol, [])), *(finding.settings for finding in findings)]:
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
    """The lines of the section. upstream: that of the settings. written: the keys that its section has. usable: the
    protocols that work. advised: the settings that follow from findings. server: its Server header."""
    now = {key: _written(upstream, key) for key in KEYS}
    preset = upstream.preset or guessed(upstream, server)
    brought = {key: value for key, value in PRESETS.get(preset, {}).items() if key in KEYS and key not in written}
    fits: dict[str, str] = now | brought | ({"protocol": ", ".join(usable)} if usable else {}) | _joined(now, advised)
    implied = DEFAULTS | PRESETS.get(preset, {})
    out = [f"[upstream {upstream.name}]"]
    if preset:
        out += ([] if upstream.preset == preset else ["# new:"]) + [f"preset = {preset}"]
    for key in KEYS:
        changed = fits[key] != now[key]
        if fits[key] != implied.get(key) and (key != "count_tokens" or _may_count(fits["protocol"])):
            out += [f"# it was {now[key] or 'empty'}:"] * changed + [f"{key} = {fits[key]}".rstrip()]
        elif changed and key in written:
            out.append(f"# {key} was {now[key]}; remove that line, as the default fits")
    return out


def _may_count(protocols: str) -> bool:
    """Whether a setting decides if the upstream counts tokens in one of these protocols."""
    return any(dialects.of(name.strip()).counts_by_choice for name in protocols.split(","))


def guessed(upstream: Upstream, server: str) -> str:
    """The preset of a server, by its address or its Server header; "" if none fits."""
    if "llama.cpp" in server.lower():
        return "llamacpp"
    host = urlsplit(upstream.base_url).hostname or ""
    for name, keys in PRESETS.items():
        theirs = urlsplit(keys.get("base_url", "")).hostname or ""
        if theirs and theirs == host and theirs not in _LOCAL:
            return name
    return ""


def _joined(now: Mapping[str, str], advised: Mapping[str, str]) -> dict[str, str]:
    """The advised settings; those of drop and rename are added to the ones in force."""
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
