"""What a cloud does not take of a request to Anthropic's own API: it is left out and reported, or sent under another
name.

Claude Code and the SDKs send fields and betas that are newer than the clouds, which answer 400 to them. A `Bridge` is
one cloud's table. Betas that it does not list are left out, because a cloud accepts only the betas on its list. Fields
that it does not list pass; what is refused all the same is learned from the refusal. Only the members that must change
do so: the bytes of `system` and `messages` stay, and so do those of `tools` if nothing in them is left out.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from translate import late
from translate.json import top_level, wire

FIRST_PARTY = (
    "speed", "fallbacks", "fallback_credit_token", "container", "mcp_servers", "inference_geo", "diagnostics",
    "service_tier", "thread",
)  # fmt: skip
"""Top-level fields that belong to services of Anthropic's own API."""

BETAS = "anthropic_beta"
_TOOLS = b'"tools"'
_IN_TOOLS, _IN_MARKS, _THINKING, _ADAPTS = "tools", "cache_control", "thinking", "adaptive"
LEAST_BUDGET, USUAL_BUDGET = 1024, 16_000  # tokens of thinking, if the model does not choose them itself
_REFUSED = late.pattern(r"(?:^|[\s(`'\"])((?:[a-z_]+|\d+)(?:\.(?:[a-z_]+|\d+)){0,12}): Extra inputs are not permitted")
_ADAPTIVE = late.pattern(r"thinking\.type: Input tag '?adaptive'? found|adaptive thinking is not supported", re.I)
_NEVER = frozenset(("model", "messages", "max_tokens", "system", "tools", "stream", "anthropic_version", "tool_choice"))


def refused(message: str) -> list[str]:
    """Returns what a refusal says that the cloud does not take: a top-level field, "tools.FIELD",
    "cache_control.FIELD", or BETAS for all of them if it does not say which."""
    found = [BETAS] if "invalid beta flag" in message else []
    if _ADAPTIVE.search(message):
        found.append(f"{_THINKING}.adaptive")
    for match in _REFUSED.finditer(message):
        path = [part for part in match.group(1).split(".") if not part.isdigit()]
        if len(path) == 1 and path[0] not in _NEVER:
            found.append(path[0])
        elif "cache_control" in path[:-1]:
            found.append(f"{_IN_MARKS}.{path[-1]}")
        elif path[0] == "tools" and len(path) > 1:
            found.append(f"{_IN_TOOLS}.{path[-1]}")
    return list(dict.fromkeys(found))


class Bridge(Struct, frozen=True):
    """One cloud's table. betas: those that the cloud takes -> its own name; None = it takes all. fields: top-level
    fields that it does not take. tool_fields: members of tools. cache_fields: members of a cache_control. adaptive: the
    model may choose how much it thinks; otherwise it gets a budget."""

    betas: Mapping[str, str] | None = None
    fields: tuple[str, ...] = ()
    tool_fields: tuple[str, ...] = ()
    cache_fields: tuple[str, ...] = ()
    adaptive: bool = True

    def also(self, names: Iterable[str]) -> Bridge:
        """Returns the table for a cloud that takes still less. names: as `refused` returns them."""
        fields, tools, marks, betas = list(self.fields), list(self.tool_fields), list(self.cache_fields), self.betas
        adaptive = self.adaptive
        for name in names:
            place, _, inner = name.partition(".")
            if name == BETAS:
                betas = {}
            elif place == _THINKING and inner:
                adaptive = False
            elif inner and place in (_IN_TOOLS, _IN_MARKS):
                (tools if place == _IN_TOOLS else marks).append(inner)
            elif not inner:
                fields.append(name)
        return replace(
            self, betas=betas, fields=tuple(fields), tool_fields=tuple(tools), cache_fields=tuple(marks),
            adaptive=adaptive,
        )  # fmt: skip

    def takes(self, betas: list[str]) -> tuple[list[str], list[str]]:
        """Returns (the betas that are sent, the betas that are left out)."""
        if self.betas is None:
            return betas, []
        taken = [self.betas[beta] for beta in betas if beta in self.betas]
        return list(dict.fromkeys(taken)), [beta for beta in betas if beta not in self.betas]

    @property
    def inner(self) -> tuple[str, ...]:
        """The names to look for in a body: if none of them is there in quotes, nothing within its members is left
        out."""
        return (*self.tool_fields, *self.cache_fields, *(() if self.adaptive else (_ADAPTS,)))

    def crossed(self, body: bytes, seen: Container[str]) -> tuple[bytes, list[str]]:
        """Returns the body as the cloud takes it, and what was left out. seen: which of `fields` and `inner` it has."""
        left: list[str] = []
        if fields := [name for name in self.fields if name in seen]:
            body, gone = _without(body, fields)
            left += gone
        in_tools = [name for name in self.tool_fields if name in seen]
        if in_tools and _TOOLS in body:
            body, gone = _in_tools(body, in_tools)
            left += gone
        if not self.adaptive and _ADAPTS in seen:
            body, gone = _with_budget(body)
            left += gone
        for name in self.cache_fields:
            if name in seen:
                body, found = _cache_field(name).subn(_less, body)
                left += [f"cache_control.{name}"] * bool(found)
        return body, left


def _without(body: bytes, names: list[str]) -> tuple[bytes, list[str]]:
    """Returns the body without its top-level members of these names, whatever their values are."""
    try:
        text = body.decode("utf-8")
        found = top_level.members(text)
    except (ValueError, IndexError, RecursionError):
        return body, []
    gone = [name for name, _, _ in found if name in names]
    if not gone:
        return body, []
    kept = [text[start:end] for name, start, end in found if name not in names]
    return f"{text[: found[0][1]]}{','.join(kept)}{text[found[-1][2] :]}".encode(), list(dict.fromkeys(gone))


def _in_tools(body: bytes, names: list[str]) -> tuple[bytes, list[str]]:
    """Does the same with the members of each tool. The bytes of the other tools change only if something is left out of
    one."""
    try:
        text = body.decode("utf-8")
        span = next(((start, end) for name, start, end in top_level.members(text) if name == "tools"), None)
        tools = wire.loads(text[span[0] : span[1]].partition(":")[2].encode()) if span is not None else None
    except (ValueError, IndexError, RecursionError):
        return body, []
    if span is None or not isinstance(tools, list):
        return body, []
    named = (name for tool in tools if isinstance(tool, dict) for name in names if name in tool)
    left = [f"{_IN_TOOLS}.{name}" for name in dict.fromkeys(named)]
    if not left:
        return body, []
    kept: list[Any] = [
        {key: value for key, value in tool.items() if key not in names} if isinstance(tool, dict) else tool
        for tool in tools
    ]
    new = '"tools":' + wire.dumps(kept).decode()
    return f"{text[: span[0]]}{new}{text[span[1] :]}".encode(), left


def _with_budget(body: bytes) -> tuple[bytes, list[str]]:
    """Gives thinking, whose amount the model would choose itself, a budget below max_tokens; or removes it if there is
    no room for one."""
    try:
        text = body.decode("utf-8")
        spans = {name: (start, end) for name, start, end in top_level.members(text)}
        said = {name: wire.loads(text[a:b].partition(":")[2].encode()) for name, (a, b) in spans.items()
                if name in (_THINKING, "max_tokens")}  # fmt: skip
    except (ValueError, IndexError, RecursionError):
        return body, []
    thinking, most = said.get(_THINKING), said.get("max_tokens")
    if not isinstance(thinking, dict) or thinking.get("type") != "adaptive" or not isinstance(most, int):
        return body, []
    if most <= LEAST_BUDGET:
        return _without(body, [_THINKING])
    enabled = {"type": "enabled", "budget_tokens": max(LEAST_BUDGET, min(USUAL_BUDGET, most // 2))}
    start, end = spans[_THINKING]
    return f'{text[:start]}"thinking":{wire.dumps(enabled).decode()}{text[end:]}'.encode(), ["thinking.type"]


def _cache_field(name: str) -> re.Pattern[bytes]:
    """A cache_control that has the member. Inside of a string its quotes would be escaped."""
    if (found := _PATTERNS.get(name)) is None:
        member = rb'"' + name.encode() + rb'"\s*:\s*"[^"\\]*"'
        whole = rb'("cache_control"\s*:\s*\{[^{}]*?)(?:,\s*' + member + rb"|" + member + rb"\s*,?\s*)"
        found = _PATTERNS[name] = re.compile(whole)
    return found


def _less(found: re.Match[bytes]) -> bytes:
    return found.group(1)


_PATTERNS: dict[str, re.Pattern[bytes]] = {}
