"""`extra_content`: Google's proof of a thought, which stands beside what came of it.

The tool call (or the message) that follows from Gemini's reasoning carries the signature of that reasoning. From its
third generation on, Gemini answers 400 to a history whose calls have lost their signatures. Other protocols have no
place on a call; so the proof crosses as a thought of its own right before the call, under a seal (see
sealed_reasoning.py), and returns to its place when a history goes to Gemini again. A message's own crosses where it
comes before the text: clients take a reply's last part for the answer.

LiteLLM says it in `provider_specific_fields`, and once more in the call's id, since most clients send nothing else
back. An id so long is shortened on its way to other protocols, and with the rest of a signature in it Gemini answers
400. So the id loses it, and the field goes back.
"""

from __future__ import annotations

import base64
import binascii
import re

from translate.conversation import Part, Thinking
from translate.json.json_fields import Body, object_of, text_of
from translate.reasoning import sealed_reasoning
from translate.target import Target

UNSIGNED = "skip_thought_signature_validator"  # https://ai.google.dev/gemini-api/docs/thought-signatures
_DEMANDS = re.compile(r"gemini-(?:[3-9]|[1-9]\d)")

OF_CALL, OF_MESSAGE = "call", "message"
OF_LITELLM = "litellm"  # of a call, too
FIELDS, IN_ID = "provider_specific_fields", "__thought__"
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")


def sealed(said: Body, what: str) -> Thinking | None:
    """Returns the thought that carries the proof, None where nothing is signed. said: a call, a message or a delta.
    what: OF_CALL, OF_MESSAGE."""
    extra = said.get("extra_content")
    if not isinstance(extra, dict):
        return None
    if not any(isinstance(each, dict) and each.get("thought_signature") for each in extra.values()):
        return None
    return Thinking(encrypted=sealed_reasoning.of_extra({what: extra}))


def is_thought(delta: Body) -> bool:
    """Tells whether Google marks the text of a delta: if a tag begins it, it is a thought."""
    return object_of(object_of(delta, "extra_content"), "google").get("thought") is True


def id_of(call: Body) -> str:
    """Returns a call's id without the signature."""
    return text_of(call, "id").partition(IN_ID)[0]


def sealed_by_litellm(call: Body) -> Thinking | None:
    """Returns the thought that carries what LiteLLM says is signed, None for nothing."""
    fields = object_of(call, FIELDS) or object_of(object_of(call, "function"), FIELDS)
    signature = text_of(fields, "thought_signature") or _plain(text_of(call, "id").partition(IN_ID)[2])
    if not signature:
        return None
    return Thinking(encrypted=sealed_reasoning.of_extra({OF_LITELLM: {"google": {"thought_signature": signature}}}))


def _plain(signature: str) -> str:
    """Returns the signature in an id: some versions have put it in base64 once more."""
    try:
        inner = base64.b64decode(signature + "=" * (-len(signature) % 4), b"-_", validate=True)
    except (ValueError, binascii.Error):
        return signature
    return inner.decode() if _BASE64.fullmatch(inner) else signature


def beside_call(what: str, extra: Body) -> Body:
    """Returns the field of a call that says what was opened."""
    return {FIELDS: extra["google"]} if what == OF_LITELLM else {"extra_content": extra}


def id_told(id: str, beside: Body) -> str:
    """Returns a call's id as LiteLLM's clients get it. beside: the call's further fields."""
    signature = text_of(object_of(beside, FIELDS), "thought_signature")
    return f"{id}{IN_ID}{signature}" if signature else id


def opened(part: Part | None) -> tuple[str, Body] | None:
    """Returns (what it is of, extra_content); None for any other part, and for a seal that was damaged."""
    if not isinstance(part, Thinking) or not sealed_reasoning.is_of_extra(part.encrypted):
        return None
    for what, extra in sealed_reasoning.extra_in(part.encrypted).items():
        if what in (OF_CALL, OF_MESSAGE, OF_LITELLM) and isinstance(extra, dict):
            return what, extra
    return None


def opened_for(part: Part, target: Target) -> tuple[str, Body] | None:
    """Returns the same if it may go to the upstream. LiteLLM's goes back whatever the model is called there."""
    if (found := opened(part)) is None:
        return None
    return found if (target.policy.proofs if found[0] == OF_LITELLM else may_go_to(target)) else None


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
