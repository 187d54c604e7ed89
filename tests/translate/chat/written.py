"""Conversations of a Messages client, written as Chat requests."""

from __future__ import annotations

from typing import Any

from tests.support.conversations import of_client
from translate.chat.encode_request import encode
from translate.conversation import Part, Text, Thinking, ToolCall, Turn
from translate.target import Encoded, Policy, Target

HI = Turn("user", [Text("Hi")])


def encoded(*turns: Turn, policy: Policy = Policy(), model: str = "gpt-5", **fields: Any) -> Encoded:
    """As from a Messages client; its conversation is not changed, and says the same the second time."""
    conversation = of_client("m", list(turns) or [HI], **({"ext": {"messages": {}}} | fields))
    before = repr(conversation)
    out = encode(conversation, Target(model, policy))
    assert encode(conversation, Target(model, policy)) == out
    assert repr(conversation) == before
    return out


def messages(*turns: Turn, **fields: Any) -> Any:
    return encoded(*turns, **fields).body["messages"]


def user(*parts: Part) -> Turn:
    return Turn("user", list(parts))


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", list(parts))


CALL = ToolCall("t1", "f", '{"x":1}')
THOUGHT = (Thinking("hm", "S"), Thinking(encrypted="E"), Thinking("so"))
WIRE_CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
