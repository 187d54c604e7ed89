"""Fields that an upstream refuses ([upstream] drop), cut out of a body that otherwise passes through untouched.

Not every server that speaks Messages knows what Claude Code sends: one that answers "context_management: Extra inputs
are not permitted" is told to be spared the field. Only the member goes; every other byte stays, since signatures and
prompt caches live on them. A field that Anthropic has behind a beta header travels with that header or not at all: its
beta names leave `anthropic-beta` with it. Names that belong to no such field always pass; the list is an open one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from translate.json import wire
from translate.json.top_level import members

# What the names of the betas behind a top-level field begin with. Source: the anthropic SDK's AnthropicBetaParam.
BETAS = {
    "context_management": ("context-management-", "compact-2026-01-12"),
    "compaction": ("compact-2026-09-04",),
    "mcp_servers": ("mcp-client-",),
    "container": ("skills-",),
    "speed": ("fast-mode-",),
    "fallbacks": ("server-side-fallback-",),
    "fallback_credit_token": ("fallback-credit-",),
    "diagnostics": ("cache-diagnosis-",),
    "thread": ("message-threads-",),
    "user_profile_id": ("user-profiles-",),
    "output_format": ("structured-outputs-",),
    "output_config": ("effort-", "task-budgets-"),
    "thinking": ("interleaved-thinking-", "thinking-", "dev-full-thinking-"),
}


def without(body: bytes, fields: Iterable[str]) -> tuple[bytes, list[str]]:
    """Returns the body without its top-level members of these names, and which of them were there. A body that is no
    JSON object stays as it is, for the upstream to refuse."""
    named = [field for field in fields if f'"{field}"'.encode() in body]
    if not named:
        return body, []
    try:
        text = body.decode("utf-8")
        found = members(text)
    except (ValueError, IndexError, RecursionError):
        return body, []
    gone = [name for name, _, _ in found if name in named]
    if not gone:
        return body, []
    kept = [text[start:end] for name, start, end in found if name not in named]
    head, tail = text[: found[0][1]], text[found[-1][2] :]
    return f"{head}{','.join(kept)}{tail}".encode(), list(dict.fromkeys(gone))


def without_word(body: bytes, field: str, word: str) -> tuple[bytes, list[str]]:
    """Returns the body without a word of the list in a top-level member, and the member's name if the word was there. A
    list that has no other word leaves with it."""
    if f'"{word}"'.encode() not in body:
        return body, []
    try:
        text = body.decode("utf-8")
        found = [(start, end) for name, start, end in members(text) if name == field]
        words = [wire.loads(text[start:end].partition(":")[2]) for start, end in found]
    except (ValueError, IndexError, RecursionError):
        return body, []
    if len(words) != 1 or not isinstance(words[0], list) or word not in words[0]:
        return body, []
    if not (others := [each for each in words[0] if each != word]):
        return without(body, [field])
    start, end = found[0]
    return b'%b"%b":%b%b' % (text[:start].encode(), field.encode(), wire.dumps(others), text[end:].encode()), [field]


def renamed(body: bytes, names: Mapping[str, str]) -> bytes:
    """Returns the body with top-level members under other names. A body that is no JSON object stays as it is."""
    if not any(f'"{name}"'.encode() in body for name in names):
        return body
    try:
        text = body.decode("utf-8")
        found = members(text)
    except (ValueError, IndexError, RecursionError):
        return body
    for name, start, end in reversed(found):
        if name in names:
            value = text[start:end].partition(":")[2]
            text = f'{text[:start]}"{names[name]}":{value}{text[end:]}'
    return text.encode()


def betas_left(value: str, dropped: Iterable[str]) -> str:
    """Returns anthropic-beta without the names that belong to dropped fields."""
    gone = tuple(name for field in dropped for name in BETAS.get(field, ()))
    if not gone:
        return value
    return ",".join(name for name in value.split(",") if not name.strip().startswith(gone))


def lines_left(lines: list[str], dropped: Iterable[str]) -> list[str]:
    """Returns header lines of which anthropic-beta is without these names."""
    out = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() != "anthropic-beta":
            out.append(line)
        elif left := betas_left(value.strip(), dropped):
            out.append(f"{name}: {left}")
    return out
