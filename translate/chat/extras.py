"""`extra_content`: Google's proof of a thought, which stands beside what came of it.

The tool call (or the message) that follows from Gemini's reasoning carries the signature of that reasoning. From its
third generation on, Gemini answers 400 to a history whose calls have lost their signatures. Other protocols have no
place on a call; so the proof crosses as a thought of its own right before the call, under a seal (see
sealed_reasoning.py), and returns to its place when a history goes to Gemini again. A message's own crosses where it
comes before the text: clients take a reply's last part for the answer.
"""

from __future__ import annotations

import re

from translate import sealed_reasoning
from translate.conversation import Part, Thinking
from translate.json_fields import Body
from translate.target import Target

UNSIGNED = "skip_thought_signature_validator"  # https://ai.google.dev/gemini-api/docs/thought-signatures
_DEMANDS = re.compile(r"gemini-(?:[3-9]|[1-9]\d)")

OF_CALL, OF_MESSAGE = "call", "message"


def sealed(said: Body, what: str) -> Thinking | None:
    """Returns the thought that carries the proof, None where nothing is signed. said: a call, a message or a delta.
    what: OF_CALL, OF_MESSAGE."""
    extra = said.get("extra_content")
    if not isinstance(extra, dict):
        return None
    if not any(isinstance(each, dict) and each.get("thought_signature") for each in extra.values()):
        return None
    return Thinking(encrypted=sealed_reasoning.of_extra({what: extra}))


def opened(part: Part | None) -> tuple[str, Body] | None:
    """Returns (what it is of, extra_content); None for any other part, and for a seal that was damaged."""
    if not isinstance(part, Thinking) or not sealed_reasoning.is_of_extra(part.encrypted):
        return None
    for what, extra in sealed_reasoning.extra_in(part.encrypted).items():
        if what in (OF_CALL, OF_MESSAGE) and isinstance(extra, dict):
            return what, extra
    return None


def may_go_to(target: Target) -> bool:
    """Tells whether the upstream's model signs in this way. Another may refuse a field that it does not know."""
    return target.policy.tool_schema == "gemini" or "gemini" in target.model.lower()


def unsigned(target: Target) -> Body:
    """Returns what a step's first call says where another model made it, or the client lost the proof. It is Google's
    own word for that, and without it Google's third generation answers 400. It goes to Google's own service only;
    gateways have their own ways."""
    if target.policy.tool_schema == "gemini" and _DEMANDS.search(target.model.lower()):
        return {"extra_content": {"google": {"thought_signature": UNSIGNED}}}
    return {}
