"""A request that goes home comes back: body -> Conversation -> body says the same, and so does the second reading.

Over all that each protocol can say (see strategies_requests.py). The encoder writes one of several spellings of the
same; what `plain_...` levels out is all that may differ. Crossings never change what they read: a retry reads it again.
"""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import params
from tests.support import strategies_requests as bodies
from tests.support.strategies import few
from translate import dialects, pair
from translate.conversation import Conversation
from translate.failures import errors
from translate.json import wire
from translate.target import Policy, Protocol, Target

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")
BODIES = {
    "messages": bodies.messages_bodies(),
    "chat": bodies.chat_bodies(),
    "responses": bodies.responses_bodies(),
}
PLAIN = {"messages": bodies.plain_messages, "chat": bodies.plain_chat, "responses": bodies.plain_responses}
HISTORY = {"messages": "messages", "chat": "messages", "responses": "input"}
HOME = Target("m", Policy(reasoning_history="true", stream_options=False))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@few
@given(data=st.data())
def test_a_body_comes_home(protocol: Protocol, data: st.DataObject) -> None:
    body = data.draw(BODIES[protocol])
    before = copy.deepcopy(body)
    conversation = dialects.of(protocol).decode_request(body)
    kept = repr(conversation)
    back = dialects.of(protocol).encode_request(conversation, HOME)
    assert PLAIN[protocol](back.body) == PLAIN[protocol](before)
    assert back.dropped == [] and back.tool_names == {}
    assert body == before and repr(conversation) == kept, "somebody wrote to what it should only read"
    again: Conversation = dialects.of(protocol).decode_request(back.body)
    assert again in (conversation, dialects.of(protocol).decode_request(PLAIN[protocol](before)))


@pytest.mark.parametrize("client", PROTOCOLS)
@few
@given(data=st.data())
def test_a_legal_body_crosses_or_is_refused_by_name(client: Protocol, data: st.DataObject) -> None:
    """What crosses is JSON, is read by the other side's decoder, and reads the same a second time."""
    body = data.draw(BODIES[client])
    before = copy.deepcopy(body)
    for upstream in PROTOCOLS:
        try:
            sent = pair.request(client, upstream, body, Target("m"))
        except errors.BadRequest as error:
            assert str(error)
            continue
        assert body == before
        assert sent.body == pair.request(client, upstream, body, Target("m")).body
        assert len(sent.dropped) == len(set(sent.dropped))
        dialects.of(upstream).decode_request(wire.loads(sent.json()))


@pytest.mark.parametrize("client", PROTOCOLS)
@few
@given(data=st.data())
def test_what_is_valid_leaves_as_what_is_valid(client: Protocol, data: st.DataObject) -> None:
    """By the parameter types of the upstream's SDK, its lists walked, whatever the upstream's habits."""
    body = params.valid(client, data.draw(BODIES[client]))
    if not body.get(HISTORY[client]):
        return
    for upstream in PROTOCOLS:
        for policy in (Policy(), Policy(reasoning_history="true", developer_role=True, prompt_cache_key=True)):
            if upstream == client or (upstream == "chat" and policy.reasoning_history == "true"):
                continue  # the bytes as they are; a field of other servers'
            try:
                sent = pair.request(client, upstream, body, Target("m", policy))
            except errors.BadRequest:
                continue
            assert params.CHECKS[upstream](sent.body) == [], (body, sent.body)
