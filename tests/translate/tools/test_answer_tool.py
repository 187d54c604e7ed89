"""A reply's JSON schema as a tool: what is offered, and how the call comes back as the reply's text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from conformance import grammar
from tests.support import corpus, meaning, meaning_responses
from tests.support.meaning import Meaning
from translate import dialects, pair
from translate.conversation import (
    Close,
    Conversation,
    Delta,
    Event,
    Fault,
    Open,
    OutputFormat,
    Ping,
    Start,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from translate.failures.errors import ApiError
from translate.json import wire
from translate.target import Asked, Policy, Protocol, Target
from translate.tools.answer_tool import NAME, AnswerAsText, offered

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")
PAIRS = list(itertools.product(PROTOCOLS, PROTOCOLS))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WANTED = OutputFormat("json_schema", SCHEMA, "place", "Where it is.")
GIVEN = Tool("look", schema={"type": "object"})
BY_TOOL = Target("m", Policy(output_schema="tool"))
JSON = '{"city":"Z\\u00fcrich \\"old\\""}'


def asking(output: OutputFormat | None = WANTED, **more: Any) -> Conversation:
    return Conversation("m", [], output=output, **more)


# ------------------------------------------------------------------------------------------------ the request


@pytest.mark.parametrize(
    ("conversation", "tools", "choice"),
    [
        (asking(), [NAME], ToolChoice("any")),
        (asking(tool_choice=ToolChoice("none")), [NAME], ToolChoice("any")),
        (asking(tools=[GIVEN]), ["look", NAME], ToolChoice("any")),
        (asking(tools=[GIVEN], tool_choice=ToolChoice("auto")), ["look", NAME], ToolChoice("any")),
        (asking(tools=[GIVEN], tool_choice=ToolChoice("none")), ["look", NAME], ToolChoice("tool", NAME)),
        (asking(tools=[Tool(NAME)]), [NAME, f"{NAME}_2"], ToolChoice("any")),
        (asking(tools=[Tool(NAME), Tool(f"{NAME}_2")]), [NAME, f"{NAME}_2", f"{NAME}_3"], ToolChoice("any")),
        (asking(OutputFormat("json_schema", {"properties": {}})), [NAME], ToolChoice("any")),
    ],
)
def test_the_schema_becomes_a_tool_that_must_be_called(
    conversation: Conversation, tools: list[str], choice: ToolChoice
) -> None:
    before = repr(conversation)
    sent, name = offered(conversation)
    assert name == tools[-1] and [tool.name for tool in sent.tools] == tools
    assert sent.tool_choice == choice and sent.output is None
    assert conversation.output is not None and sent.tools[-1].schema == conversation.output.schema
    assert conversation.output.description in sent.tools[-1].description
    assert repr(conversation) == before, "it was changed"


@pytest.mark.parametrize(
    "conversation",
    [
        asking(None),
        asking(OutputFormat("json_object")),
        asking(OutputFormat("json_schema")),
        asking(OutputFormat("json_schema", {"type": "array"})),
    ],
)
def test_other_requests_stay_as_they_are(conversation: Conversation) -> None:
    sent, name = offered(conversation)
    assert sent is conversation and name == ""


@pytest.mark.parametrize("choice", [ToolChoice("any"), ToolChoice("tool", "look")])
@pytest.mark.parametrize("alone", [True, False])
def test_a_call_that_is_due_leaves_no_room_for_an_answer(choice: ToolChoice, alone: bool) -> None:
    given = asking(tools=[GIVEN], tool_choice=choice)
    sent, name = offered(given, alone)
    assert (sent.output, sent.tools, sent.tool_choice, name) == (None, [GIVEN], choice, "")


def test_only_beside_other_tools() -> None:
    assert offered(asking(tools=[GIVEN]), alone=False)[1] == NAME
    for given in (asking(), asking(tools=[GIVEN], tool_choice=ToolChoice("none"))):
        assert offered(given, alone=False) == (given, "")


HI = [{"role": "user", "content": "hi"}]
JSON_SCHEMA = {"type": "json_schema", "name": "place", "schema": SCHEMA}
BODIES: dict[Protocol, dict[str, Any]] = {
    "messages": {"model": "m", "max_tokens": 9, "messages": HI, "output_config": {"format": JSON_SCHEMA}},
    "chat": {"model": "m", "messages": HI, "response_format": {"type": "json_schema", "json_schema": JSON_SCHEMA}},
    "responses": {"model": "m", "input": "hi", "text": {"format": JSON_SCHEMA}},
}
SENT: dict[Protocol, dict[str, Any]] = {
    "messages": {"tool_choice": {"type": "any"}, "input_schema": SCHEMA},
    "chat": {"tool_choice": "required", "parameters": SCHEMA},
    "responses": {"tool_choice": "required", "parameters": SCHEMA},
}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_every_protocol_sends_it(client: Protocol, upstream: Protocol) -> None:
    encoded = pair.request(client, upstream, BODIES[client], BY_TOOL)
    body: dict[str, Any] = json.loads(encoded.json())
    [tool] = body["tools"]
    function = tool["function"] if upstream == "chat" else tool
    assert (body["tool_choice"], encoded.answer_tool, function["name"]) == (SENT[upstream]["tool_choice"], NAME, NAME)
    schema = "input_schema" if upstream == "messages" else "parameters"
    assert function[schema] == SCHEMA and encoded.dropped == []
    assert not {"output_config", "response_format", "text"} & body.keys()
    assert pair.request(client, upstream, BODIES[client], Target("m")).answer_tool == ""


# -------------------------------------------------------------------------------------------------- the reply


def text(said: str) -> list[Event]:
    return [Open(Text("")), Delta([wire.inside(said)]), Close()]


def call(name: str, arguments: str) -> list[Event]:
    halves = arguments[:7], arguments[7:]
    return [Open(ToolCall(f"call_{name}", name)), *(Delta([wire.inside(half)]) for half in halves if half), Close()]


ANSWER = call(NAME, JSON)
LOOK = call("look", '{"at":1}')


class Case(NamedTuple):
    """What the model says, and what the client is to read."""

    said: list[Event]
    text: str
    calls: tuple[tuple[str, Any], ...] = ()
    stop: str = "end"
    reason: str = "tool_calls"


CASES = {
    "the answer alone": Case(ANSWER, JSON),
    "words before it": Case([*text("Here it is:"), *ANSWER], JSON),
    "words after it": Case([*ANSWER, *text("That was it.")], JSON),
    "words alone": Case([*text("I cannot."), *text(" Sorry.")], "I cannot. Sorry.", reason="end"),
    "another tool": Case(LOOK, "", (("look", {"at": 1}),), "tool"),
    "words, another tool": Case([*text("Wait."), *LOOK], "Wait.", (("look", {"at": 1}),), "tool"),
    "both": Case([*LOOK, *ANSWER], JSON, (("look", {"at": 1}),), "tool"),
    "twice": Case([*ANSWER, *call(NAME, '{"city":"B"}')], JSON),
    "nothing in it": Case(call(NAME, ""), "{}"),
    "cut off": Case(call(NAME, '{"city":"Pa'), '{"city":"Pa', stop="length", reason="length"),
}


def reply(case: Case, upstream: Protocol) -> tuple[bytes, bytes]:
    """The upstream's (stream, whole body)."""
    stop = Stop(case.reason, Usage(input=5, output=3))  # type: ignore[arg-type]
    events: list[Event] = [Start("r", "m", Usage(input=5)), *case.said, stop]
    asked = Asked("m", "up", include_usage=True)
    stream = dialects.of(upstream).encoder(asked).emit(events)
    return stream, wire.dumps(dialects.of(upstream).collect(events, asked))


def asked() -> Asked:
    return Asked("m", "k", include_usage=True, answer_tool=NAME)


def check(case: Case, client: Protocol, out: bytes, streamed: bool) -> None:
    reader = {"messages": meaning.of_messages, "chat": meaning.of_chat, "responses": meaning_responses.of_responses}
    got = reader[client](out if streamed else json.loads(out))
    if got.text.startswith("{") and case.stop != "length" and json.loads(got.text) == json.loads(case.text):
        got.text = case.text  # an upstream's whole body may hold an object, written in its own way
    want = Meaning(case.text, calls=list(case.calls), stop=case.stop, prompt=5, output=3)
    assert meaning.differences(want, got) == []
    assert NAME.encode() not in out
    if not case.calls:  # the readers take the stop reason from what is there
        assert b'"tool_use"' not in out and b'"tool_calls"' not in out
    if streamed:
        problems = {"messages": grammar.check_messages, "chat": grammar.check_chat}
        assert problems.get(client, grammar.check_responses)(out) == []


def streamed(client: Protocol, upstream: Protocol, pieces: Iterable[bytes]) -> bytes:
    crossing = pair.Crossing(client, upstream, asked())
    return b"".join([*map(crossing.feed, pieces), crossing.end()])


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_call_is_the_reply(case: Case, client: Protocol, upstream: Protocol) -> None:
    stream, whole = reply(case, upstream)
    if case.stop != "length" or upstream != "messages":  # whose whole bodies hold an object: it cannot be cut off
        check(case, client, pair.Crossing(client, upstream, asked()).whole(whole), False)
        check(case, client, pair.Crossing(client, upstream, asked()).whole_as_stream(whole), True)
    check(case, client, pair.Crossing(client, upstream, asked()).whole(stream, streamed=True), False)
    for pieces in ([stream], corpus.bytewise(stream), *(corpus.cuts(stream, seed) for seed in range(3))):
        check(case, client, streamed(client, upstream, pieces), True)


def test_the_answer_comes_piece_by_piece() -> None:
    spoken = AnswerAsText(NAME)
    opened, first, *_ = ANSWER
    assert spoken.passed([opened]) == [Open(Text(""))]
    assert spoken.passed([first]) == [first] and "answering" in repr(spoken)
    thought: list[Event] = [Open(Thinking()), Delta([b"hm"]), Close("sig")]
    assert AnswerAsText(NAME).passed(thought) == thought
    assert AnswerAsText(NAME).passed([Ping()]) == [Ping()]


def test_another_call_is_still_waited_for() -> None:
    stop = Stop("tool_calls")
    assert AnswerAsText(NAME).passed([*LOOK, *ANSWER, stop])[-1] == stop
    assert AnswerAsText(NAME).passed([*ANSWER, stop])[-1] == Stop("end")


def test_words_before_a_fault_are_left_out() -> None:
    fault = Fault(ApiError("upstream", "gone"))
    assert AnswerAsText(NAME).passed([*text("Here"), fault]) == [fault]
