"""What Mistral's models, and every server that uses their own templates, refuse of a conversation.

They answer 400 to the user's word right after a tool's ("Unexpected role 'user' after role 'tool'"), to a conversation
that ends with the model's own words, and to a call whose id is not nine letters and digits. All of that is usual
elsewhere: Claude Code puts a reminder behind nearly every result.
"""

from __future__ import annotations

import hashlib
import re

from translate.json.json_fields import Body
from translate.parts import readable

BETWEEN = "OK."  # what the model says between a tool's word and the user's
_MODELS = re.compile(r"mistral|mixtral|ministral|magistral|codestral|devstral|pixtral|voxtral", re.I)
_ID = re.compile(r"[a-zA-Z0-9]{9}")


def is_model(name: str) -> bool:
    return _MODELS.search(name) is not None


def call_id(given: str) -> str:
    """Returns an id that such servers take, always the same for the same one."""
    return given if _ID.fullmatch(given) else hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def in_order(messages: list[Body]) -> list[Body]:
    """Returns the messages with what must stand between two of them, and at their end."""
    out: list[Body] = []
    for message in messages:
        if message["role"] == "user" and out and out[-1]["role"] == "tool":
            out.append({"role": "assistant", "content": BETWEEN})
        out.append(message)
    if out and out[-1]["role"] == "assistant" and "tool_calls" not in out[-1]:
        out.append({"role": "user", "content": readable.GO_ON})
    return out
