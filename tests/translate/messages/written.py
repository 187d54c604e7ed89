"""A conversation of a Chat client, written for Anthropic: what the tests of encoding share."""

from __future__ import annotations

import copy
from typing import Any

from tests.support import params
from tests.support.conversations import of_client
from translate.conversation import Part, Text, Turn
from translate.messages.decode_request import encode
from translate.target import Encoded, Policy, Target

NEW, OLD = "claude-opus-5-5", "claude-sonnet-4-5-20250929"
CACHE = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def user(*parts: Part) -> Turn:
    return Turn("user", list(parts))


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", list(parts))


def system(text: str) -> Turn:
    return Turn("system", [Text(text)])


def write(*turns: Turn, model: str = NEW, policy: Policy | None = None, **fields: Any) -> Encoded:
    """Encodes a Chat client's conversation; the result is valid by the SDK's types, the input unchanged."""
    ext = fields.pop("ext", {"chat": {}})
    conversation = of_client("asked", list(turns) or [user(Text("Hi"))], ext=ext, **fields)
    before = copy.deepcopy(conversation)
    out = encode(conversation, Target(model, policy or Policy()))
    assert conversation == before
    assert params.check_messages(out.body, beta=True) == []
    return out


def messages(*turns: Turn, **fields: Any) -> Any:
    return write(*turns, **fields).body["messages"]


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words} | more
