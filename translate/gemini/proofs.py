"""`thoughtSignature`: the proof of a thought, on the part that came of it.

A function call or a text carries Google's signature of the thoughts before it. From its third generation on, Gemini
answers 400 to a history whose calls have lost their signatures. To clients of other protocols it crosses under a seal,
as from Google's OpenAI form (see chat/extras.py), so that a history goes back to either. A Gemini client has nothing
but this field that comes back unread; so what other providers signed travels in it, behind a seal of ours, words and
all: the client need not have asked to see them. The field holds bytes, in base64, and so does ours.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from translate.chat import extras
from translate.conversation import Ext, Part, Thinking
from translate.json.json_fields import object_of
from translate.reasoning import sealed_reasoning

OF_CALL, OF_MESSAGE, OF_THOUGHT, OF_MEDIA = extras.OF_CALL, extras.OF_MESSAGE, "thought", "media"
SEARCHED = ("toolCall", "toolResponse")
"""Parts of what Google ran itself beside the client's functions. Nobody else has a place for them."""
UNSIGNED = extras.UNSIGNED

GOOGLES = sealed_reasoning.EXTRA
"""How the proof of a thought begins that carries a signature of Google's."""

MARK = b"fnNlYWxlZC5"
"""How the field begins where a seal of ours is in it: "~sealed." in base64, whatever letter follows."""


def of_google(signature: str, what: str) -> Thinking:
    """Returns the thought that carries a signature of Google's to the next part, under a seal."""
    return Thinking(encrypted=sealed_reasoning.of_extra({what: {"google": {"thought_signature": signature}}}))


def of_searched(raw: dict[str, Any]) -> Thinking:
    """Returns the thought that carries such a part as it is, to go back with the history."""
    return Thinking(encrypted=sealed_reasoning.of_extra({"part": raw}))


def searched_in(part: Thinking) -> dict[str, Any]:
    """Opens that, {} for any other thought."""
    return object_of(sealed_reasoning.extra_in(part.encrypted), "part")


def media_in(part: Thinking) -> str:
    """Returns the signature of a picture, which `of_google` has sealed."""
    return _signature(object_of(sealed_reasoning.extra_in(part.encrypted), OF_MEDIA))


def google_in(part: Part | None) -> str:
    """Returns the signature that `of_google` or a Chat upstream of Google's has sealed, "" for any other part."""
    found = extras.opened(part)
    return _signature(found[1]) if found is not None else ""


def _signature(extra: dict[str, object]) -> str:
    for said in extra.values():
        if isinstance(said, dict) and isinstance(signature := said.get("thought_signature"), str):
            return signature
    return ""


def beside(ext: Ext) -> str:
    """Returns the signature that a Chat client has beside a call or a message, as Google's OpenAI form says it."""
    return _signature(object_of(ext.get("proof", {}), "extra_content"))


def sealed_thought(signature: str) -> str:
    """Returns a signature of Google's on the words of a thought, as their neutral proof."""
    return sealed_reasoning.of_extra({OF_THOUGHT: {"google": {"thought_signature": signature}}})


def of_thought(proof: str) -> str:
    """Returns the signature in such a proof, "" where it is another's."""
    if not sealed_reasoning.is_of_extra(proof):
        return ""
    said = sealed_reasoning.extra_in(proof).get(OF_THOUGHT)
    return _signature(said) if isinstance(said, dict) else ""


def said_to_client(thoughts: list[Thinking]) -> str:
    """Returns the field for what other providers have thought, "" for nothing."""
    if not thoughts:
        return ""
    return base64.b64encode(sealed_reasoning.of_thoughts(thoughts).encode()).decode()


def opened(field: str) -> list[Thinking] | None:
    """Returns what is in a seal of ours, None where the field is Google's own."""
    if not is_ours(field):
        return None
    padded = field + "=" * (-len(field) % 4)
    try:
        proof = base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True).decode()
    except (ValueError, binascii.Error):
        return []
    return sealed_reasoning.thoughts_in(proof)


def is_ours(field: object) -> bool:
    return isinstance(field, str) and field.startswith(MARK.decode())
