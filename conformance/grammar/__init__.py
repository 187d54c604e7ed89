"""Is a stream legal, to the letter? A grammar checker for Messages, Chat, Responses and Gemini streams.

It reads bytes as a client gets them and returns the problems it finds, in words; an empty list means legal.
It shares no code with the translators: framing, order and shapes are stated here a second time, from the
protocols' pages and the recorded streams. What the protocols leave open but this house promises (no empty
text block, a stop reason that fits the content) is checked unless house=False: recorded streams of the
providers themselves are read that way.
"""

from __future__ import annotations

import re

from conformance.grammar.chat import Chat
from conformance.grammar.framing import events
from conformance.grammar.gemini import Gemini
from conformance.grammar.messages import Messages
from conformance.grammar.responses import Responses


def check_messages(raw: bytes, house: bool = True) -> list[str]:
    """Problems of an Anthropic Messages stream. See the module's words for `house`."""
    checker = Messages(house)
    for event in events(raw, checker.problems, house):
        checker.event(*event)
    checker.end()
    return checker.problems


def check_chat(raw: bytes, house: bool = True, usage: bool | None = None) -> list[str]:
    """Problems of a Chat Completions stream. usage: must there be a usage chunk (None: may be)."""
    checker = Chat(house, usage)
    for event in events(raw, checker.problems, house):
        checker.event(*event)
    checker.end()
    return checker.problems


def check_responses(raw: bytes, lone_failure: bool = False, house: bool = True) -> list[str]:
    """Problems of a Responses stream. lone_failure: it may be nothing but response.failed."""
    checker = Responses()
    if lone_failure:
        checker.state = checker._between
    for event in events(raw, checker.problems, house):
        checker.event(*event)
    checker.end()
    return checker.problems


def check_gemini(raw: bytes, house: bool = True) -> list[str]:
    """Problems of a Gemini stream (with alt=sse). Blank lines are signs of life."""
    checker = Gemini()
    if any(line.startswith(b":") for line in raw.splitlines()):
        checker.say("framing: a comment, which Google's SDK takes for data")
    for event in events(re.sub(rb"\n{3,}", b"\n\n", raw.lstrip(b"\n")), checker.problems, house):
        checker.event(*event)
    checker.end()
    return checker.problems
