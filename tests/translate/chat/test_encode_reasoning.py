"""What a conversation has thought, in a Chat request: in which field it goes back, and where it stays behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.chat.written import CALL, HI, THOUGHT, WIRE_CALL, assistant, encoded, messages
from translate.conversation import Part, Text, Thinking
from translate.target import Policy

DETAILS = [
    {"type": "reasoning.text", "text": "hm", "signature": "S", "index": 0},
    {"type": "reasoning.encrypted", "data": "E", "index": 1},
]

HISTORY: list[tuple[Policy, bool, dict[str, Any]]] = [
    (Policy(), True, {"content": "a"}),
    (Policy(reasoning_history="tool_calls"), False, {"content": "a"}),
    (
        Policy(reasoning_history="tool_calls"),
        True,
        {"content": "a", "reasoning_content": "hm\n\nso", "reasoning_details": DETAILS},
    ),
    (
        Policy(reasoning_history="true", reasoning="reasoning"),
        False,
        {"content": "a", "reasoning": "hm\n\nso", "reasoning_details": DETAILS},
    ),
    (
        Policy(reasoning_history="true", reasoning="think_tags"),
        False,
        {"content": "<think>\nhm\n\nso\n</think>\n\na"},
    ),
    (Policy(reasoning_history="true", reasoning="none"), False, {"content": "a"}),
]


@pytest.mark.parametrize(("policy", "calls", "message"), HISTORY)
def test_reasoning_goes_back_where_the_upstream_wants_it(policy: Policy, calls: bool, message: dict[str, Any]) -> None:
    parts: list[Part] = [*THOUGHT, Text("a"), *([CALL] if calls else [])]
    told = messages(HI, assistant(*parts), policy=policy)[1]
    assert told == {"role": "assistant", **message, **({"tool_calls": [WIRE_CALL]} if calls else {})}


@pytest.mark.parametrize(
    ("policy", "field", "with_call", "alone"),
    [
        (Policy(), "reasoning_content", None, None),
        (Policy(reasoning_history="true"), "reasoning_content", None, None),
        (Policy(reasoning_history="tool_calls"), "reasoning_content", " ", None),
        (Policy(reasoning_history="always"), "reasoning_content", " ", " "),
        (Policy(reasoning_history="always", reasoning="reasoning"), "reasoning", " ", " "),
        (Policy(reasoning_history="always", reasoning="think_tags"), "reasoning_content", None, None),
        (Policy(reasoning_history="always", reasoning="none"), "reasoning_content", None, None),
    ],
)
def test_a_blank_stands_for_a_thought_that_a_server_demands(
    policy: Policy, field: str, with_call: str | None, alone: str | None
) -> None:
    """As where another model had the session before, or the client has not kept its thoughts. "" is refused, too."""
    said = messages(HI, assistant(Text("a"), CALL), HI, assistant(Text("b")), HI, policy=policy)
    told = [message.get(field) for message in said if message["role"] == "assistant"]
    assert told == [with_call, alone]
    thought = messages(HI, assistant(Thinking("hm", "S"), Text("b")), policy=Policy(reasoning_history="always"))
    assert thought[1]["reasoning_content"] == "hm"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ([Thinking("hm")], [], "hm"),
        ([], [Thinking("so")], "so"),
        ([Thinking("hm")], [Thinking("so")], "hm\n\nso"),
        ([], [], " "),
    ],
)
def test_two_messages_that_become_one_keep_their_thoughts(
    field: Any, first: list[Part], second: list[Part], told: str
) -> None:
    policy = Policy(reasoning_history="always", reasoning=field)
    for more in (Text("b"), CALL):
        said = messages(HI, assistant(*first, Text("a")), assistant(*second, more), HI, policy=policy)
        assert [message.get(field) for message in said if message["role"] == "assistant"] == [told]


def test_details_of_two_messages_that_become_one_all_go_back() -> None:
    policy = Policy(reasoning_history="true")
    both = [assistant(Thinking(text, signature=text), Text(text)) for text in ("hm", "so")]
    entries = messages(HI, *both, HI, policy=policy)[1]["reasoning_details"]
    assert [(entry["text"], entry["index"]) for entry in entries] == [("hm", 0), ("so", 1)]


@pytest.mark.parametrize(
    "policy",
    [Policy(reasoning_history="true"), Policy(reasoning_history="tool_calls"), Policy(reasoning_history="always")],
)
def test_a_thought_alone_is_no_message(policy: Policy) -> None:
    """Servers answer 400 to a message with neither content nor calls. The user's words around it become one."""
    out = encoded(HI, assistant(*THOUGHT), HI, policy=policy)
    assert [said["role"] for said in out.body["messages"]] == ["user"]
    assert out.dropped == ["messages.thinking"]


def test_raw_details_go_back_as_they_came() -> None:
    raw = {"type": "reasoning.encrypted", "data": "E", "format": "x", "id": "r", "index": 4}
    turn = assistant(Thinking(encrypted="E", ext={"chat": {"detail": raw}}), Text("a"))
    told = messages(HI, turn, policy=Policy(reasoning_history="true"))[1]
    assert told == {"role": "assistant", "content": "a", "reasoning_details": [raw]}
