"""Clients of Chat that were made for one provider, and take its replies as that provider writes them.

Their User-Agent tells them. What they need is no less legal for others, but nobody else needs it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

from translate import late
from translate.chat.usage import usage_body
from translate.conversation import Usage


class Habits(NamedTuple):
    """whole_calls: a call of a stream is taken in one piece; one without a name or an id is an error. thoughts: the
    fields of a whole message in which the model's thinking may be read; of a stream, the first one is. in_details: a
    stream's is read in `reasoning_details`, where the pieces of a text are put together. told: the fields of a stream's
    last chunk in which its usage is read, though nobody has asked for it."""

    whole_calls: bool = False
    thoughts: tuple[str, ...] = ("reasoning_content",)
    in_details: bool = False
    told: tuple[str, ...] = ()


MAX_AGENT = 200  # characters that are looked at, and remembered

USUAL = Habits()
_BY_AGENT = (
    (late.pattern(r"mistral-client|mistralai|ai-sdk/mistral"), Habits(whole_calls=True, told=("usage",))),
    (late.pattern(r"ai-sdk/xai"), Habits(whole_calls=True)),
    (late.pattern(r"[Gg]roq/"), Habits(thoughts=("reasoning",), told=("usage", "x_groq"))),
    (late.pattern(r"ai-sdk/openrouter"), Habits(thoughts=("reasoning",), in_details=True, told=("usage",))),
    (late.pattern(r"ai-sdk/cerebras"), Habits(told=("usage",))),
    (late.pattern(r"hf_hub/"), Habits(thoughts=("reasoning",))),
    # The AI SDK names its provider in streams alone.
    (late.pattern(r"(?<![\w-])ai/\d"), Habits(thoughts=("reasoning_content", "reasoning"))),
)


def habits(headers: Mapping[str, str]) -> Habits:
    """headers: the client's."""
    try:
        return _of(headers["User-Agent"][:MAX_AGENT])
    except KeyError:
        return USUAL


def told_apart(headers: Mapping[str, str]) -> str:
    """Returns what a reply that is written for such a client differs by from one for any other; "" = by nothing."""
    found = habits(headers)
    return "" if found is USUAL else repr(found)


@functools.lru_cache(256)
def _of(agent: str) -> Habits:
    return next((found for pattern, found in _BY_AGENT if pattern.search(agent)), USUAL)


def around_thought(habits: Habits, index: int) -> tuple[bytes, bytes]:
    """Returns a delta's bytes before and after a piece of a thought. index: of its entry in the details."""
    if habits.in_details:
        return b'{"reasoning_details":[{"type":"reasoning.text","text":"', b'","index":%d}]}' % index
    return b'{"%b":"' % habits.thoughts[0].encode(), b'"}'


def told(habits: Habits, usage: Usage) -> dict[str, object]:
    """Returns the fields of the last chunk that tell the usage."""
    said = usage_body(usage)
    return {field: {"usage": said} if field == "x_groq" else said for field in habits.told}
