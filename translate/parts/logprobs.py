"""How likely the words of a reply were: OpenAI's two protocols tell it in one form.

It stands in the Close of a text, in a group of its own: {"openai.logprobs": {"content": [...]}}. So it is told once
for each text, at its end, also where the upstream has told it delta by delta.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Close, Conversation
from translate.fields import leftovers
from translate.json.json_fields import objects_of, text_of
from translate.reasoning import effort
from translate.target import Target

Raw = dict[str, Any]

GROUP = "openai.logprobs"
WISH = leftovers.LIKELY

_IMPOSSIBLE = -9999.0  # OpenAI's word for a token that is far from likely
_BEYOND = 1e9  # nothing is so unlikely: -Infinity, which some servers say, is no JSON


def crosses(conversation: Conversation, target: Target) -> bool:
    """Tells whether it is asked for, and may be asked of the model: OpenAI's models that reason answer 400."""
    if conversation.sampling.logprobs is None:
        return False
    return not effort.listed(target.model, target.policy.reasoning_effort)


def alternatives(conversation: Conversation) -> Raw:
    """Returns the field that asks for others in a token's place."""
    most = conversation.sampling.logprobs
    return {"top_logprobs": most} if most else {}


def note(close: Close, tokens: list[Any], *, anew: bool = False) -> None:
    """Puts more tokens into the Close. anew: these are all."""
    said = [token for token in tokens if isinstance(token, dict)]
    known = close.ext.setdefault(GROUP, {}).setdefault("content", [])
    if anew and said:
        known.clear()
    known += said


def told(close: Close) -> list[Raw]:
    """Returns the tokens with all that both protocols' types want."""
    return [
        _one(token) | {"top_logprobs": [_one(each) for each in objects_of(token, "top_logprobs")]}
        for token in close.ext.get(GROUP, {}).get("content", ())
    ]


def _one(raw: Raw) -> Raw:
    token, value, given = text_of(raw, "token"), raw.get("logprob"), raw.get("bytes")
    said = given if isinstance(given, list) else list(token.encode("utf-8", "surrogatepass"))
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _BEYOND
    likely = value if is_number else _IMPOSSIBLE
    return {"token": token, "bytes": said, "logprob": likely}
