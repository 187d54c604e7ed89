"""What a refusal says of an upstream's limits: how much its model writes, holds in all, and how hard it may think.

Each limit stands for a setting of [upstream], which holds for later requests as if it were in the file. Two are told by
refusals alone: "context", the length of the model's context, of which a reply gets what the prompt leaves; and
"only_streams", for what gives no whole replies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from gateway.refusals.own_words import OwnWords
from translate import late
from translate.counting import tokens
from translate.failures.errors import ApiError
from translate.reasoning import effort
from translate.target import Policy

MAX_READ = 8 * 1024  # characters of an error
ONLY_STREAMS = "only_streams"
LEAST = 256  # tokens that every model may write: a smaller number in the same error is about another field

_EFFORT_FIELDS = ("reasoning_effort", "reasoning.effort", "output_config.effort")
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "generationConfig.maxOutputTokens")


class ToldLimit(NamedTuple):
    """words: as the upstream said them. setting: the one of [upstream]; value: as it would be there."""

    words: str
    setting: str
    value: str


# Each gap has a bound, so that the search takes linear time.
_NAME = r"max_?(?:completion|output|new)?_?tokens(?![a-z_])"
_MOST = tuple(
    late.pattern(pattern, re.I | re.S)
    for pattern in (
        rf"{_NAME}: \d{{1,9}} > (\d{{1,9}})",  # Anthropic
        rf"{_NAME}.{{0,60}}?\[\s*\d{{1,9}}\s*,\s*(\d{{1,9}})\s*\]",  # DeepSeek, Qwen, GLM: the range
        rf"{_NAME}.{{0,120}}?(?:at most|<=|less than or equal to|must not exceed) ?[`'\"]?(\d{{1,9}})",  # OpenAI, Groq
        r"maximum tokens you requested exceeds the model limit of (\d{1,9})",  # Bedrock
    )
)
_BELOW = late.pattern(rf"{_NAME}.{{0,120}}?\(inclusive\) to (\d{{1,9}}) \(exclusive\)", re.I | re.S)  # Gemini
_WINDOW = late.pattern(r"maximum context length (?:is|of) (\d{1,9})", re.I)
_BESIDE = late.pattern(r"exceed context limit: (\d{1,9}) \+ \d{1,9} > (\d{1,9})")  # Anthropic
_INPUT = late.pattern(r"\b(\d{1,9}) (?:input tokens|tokens from the input|in the messages|of text input)", re.I)
_EFFORTS = late.pattern(
    r"(?:reasoning[._]|output_config\.)effort\b.{0,160}?(?:supported values are|must be one of|input should be"
    r"|supported values):? ?\[?"
    r"|effort level '[a-z]{1,10}'\. supported levels:"  # Anthropic
    r"|level \"[a-z]{1,10}\" not supported, valid levels:",  # CLIProxyAPI
    re.I | re.S,
)
_SUPPORTED = late.pattern(r"supported values are:", re.I)  # OpenAI's Responses, where `param` alone names the field
_WORDS = late.pattern(
    r"(?:[\s,]|or\b|and\b|[`'\"]?(?:none|default|minimal|low|medium|x?high|max)\b[`'\"]?){1,60}", re.I
)


# Tools, or one that is forced, at models that think unless they are told otherwise.
_NO_CHOICE = (
    (late.pattern(r"thinking mode does not support this tool_choice", re.I), "thinking"),  # DeepSeek
    (late.pattern(r"tool_choice '\w{1,20}' is incompatible with thinking", re.I), "thinking"),  # Kimi
    (late.pattern(r"tool_choice parameter does not support being set to required or object in thinking mode", re.I),
     "enable_thinking"),
    (late.pattern(r"function tools with reasoning_effort are not supported", re.I),  # OpenAI, Chat
     effort.BESIDE_TOOLS),
)  # fmt: skip


# Whole replies, of which it gives none, or none with thoughts.
_ONLY_STREAMS = late.pattern(
    r"\bstream must be (?:set to )?true"  # OpenAI's Codex
    r"|\bonly supports? (?:the )?stream(?:ing)?\b"  # Qwen
    r"|enable_thinking must be set to false for non-streaming"  # Qwen
    r"|enable.thinking (?:can ?not|is not).{0,20}? support(?:ed)? when [`'\"]?stream ?= ?false",  # ModelScope
    re.I,
)


def read(error: ApiError) -> Iterator[ToldLimit]:
    message = error.message[:MAX_READ]
    if error.kind == "context_overflow":
        yield from _window(message)
        return
    if (found := _BESIDE.search(message)) is not None and int(found[1]) < int(found[2]):
        yield ToldLimit(found.group(), "context", f"{found[2]} {found[1]}")
    for pattern in _MOST:
        if (found := pattern.search(message)) is not None:
            yield ToldLimit(found.group(), "max_tokens", found[1])
    if (found := _BELOW.search(message)) is not None:
        yield ToldLimit(found.group(), "max_tokens", str(int(found[1]) - 1))
    found = _EFFORTS.search(message)
    if found is None and error.param in _EFFORT_FIELDS:
        found = _SUPPORTED.search(message)
    if found is not None and (said := _WORDS.match(message, found.end())) is not None:
        words = [word for word in re.findall(r"[a-z]+", said[0].lower()) if word == "none" or word in effort.BUDGETS]
        if words:
            yield ToldLimit(message[found.start() : said.end()], "reasoning_effort", ", ".join(words))
    for pattern, field in _NO_CHOICE:
        if (found := pattern.search(message)) is not None:
            yield ToldLimit(found.group(), "thinking_switch", field)
    if (found := _ONLY_STREAMS.search(message)) is not None:
        yield ToldLimit(found.group(), ONLY_STREAMS, "true")


def _window(message: str) -> Iterator[ToldLimit]:
    """Yields the context's length and the prompt's where the prompt fits: then the reply's limit was too much beside
    it."""
    window, given = _WINDOW.search(message), _INPUT.search(message)
    if window is not None and given is not None and int(given[1]) < int(window[1]):
        yield ToldLimit(window.group(), "context", f"{window[1]} {given[1]}")


def beyond(error: ApiError, sent: dict[str, Any], data: dict[str, Any], own: OwnWords) -> list[tuple[str, str]]:
    """Returns the settings that the sent body is beyond, as far as the client has not said those words itself. data:
    the client's request."""
    most = max((n for path in _LIMITS if isinstance(n := _at(sent, path), int)), default=0)
    word = next(filter(None, (_at(sent, path) for path in _EFFORT_FIELDS)), "")
    found = []
    for words, setting, value in read(error):
        if own.holds(words):
            continue
        if setting == "context" and most:
            window, given = map(int, value.split())
            found.append((setting, str(window - max(given - _estimate(data), 0))))  # its template takes some, too
        elif (
            setting == "thinking_switch"
            or (setting == ONLY_STREAMS and not sent.get("stream"))
            or (setting == "max_tokens" and most > int(value) >= LEAST)
            or (setting == "reasoning_effort" and word and word not in value.split(", "))
        ):
            found.append((setting, value))
    return found


def heeded(policy: Policy, settings: list[tuple[str, str]], data: dict[str, Any]) -> Policy:
    """Returns the policy with what refusals have told. data: the client's request."""
    for name, value in settings:
        if name in ("max_tokens", "context"):
            most = max(int(value) - (_estimate(data) if name == "context" else 0), 0)
            policy = replace(policy, max_tokens=min(filter(None, (policy.max_tokens, most)), default=0))
        elif name == "reasoning_effort":
            policy = replace(policy, reasoning_effort=value)
        elif name == ONLY_STREAMS:
            policy = replace(policy, only_streams=True)
        else:
            policy = replace(policy, thinking_switch=value)
    return policy


def _estimate(data: dict[str, Any]) -> int:
    """Returns how many tokens a request takes at most, as a rule. Pictures and files are not taken for text: they would
    fill any context."""
    return tokens.estimate(data) * 6 // 5


def _at(sent: dict[str, Any], path: str) -> Any:
    section, dot, key = path.partition(".")
    inner = sent.get(section)
    return (inner.get(key) if isinstance(inner, dict) else None) if dot else inner
