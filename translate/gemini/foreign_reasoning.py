"""A Gemini request less the thoughts that Google never signed: those that came to the client under a seal of ours."""

from __future__ import annotations

from translate.gemini import proofs
from translate.gemini.words import WORDS
from translate.json.json_fields import Body, objects_of

_NAMES = ("thoughtSignature", "thought_signature")


def without(body: Body) -> list[str]:
    """Takes the seals out. A call keeps Google's own word for one that another model made, since its third generation
    answers 400 to a call without any."""
    found = False
    for content in objects_of(body, "contents"):
        for part in objects_of(content, "parts"):
            for name in _NAMES:
                if not proofs.is_ours(part.get(name)):
                    continue
                found = True
                if "functionCall" in part or "function_call" in part:
                    part[name] = proofs.UNSIGNED
                else:
                    del part[name]
    return [WORDS.thoughts] if found else []
