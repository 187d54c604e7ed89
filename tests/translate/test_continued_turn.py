"""A turn of several requests: when it goes on, with what, and what the client gets of each reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import pair
from translate.continued_turn import Rounds
from translate.conversation import (
    Citation,
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Ping,
    Start,
    Stop,
    StopReason,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Turn,
    Unknown,
    Usage,
)
from translate.failures.errors import ApiError
from translate.messages.reply import of_search
from translate.target import Asked, Policy, ToolSearch

SEARCH = ToolSearch({"s": "bm25"}, (Tool("mail", "Sends mails."),))
QUERY = Delta([rb"{\"query\":\"mail\"}"])
SEARCHED: list[Event] = [Open(ToolCall("c", "s")), QUERY, Close()]
CALLED: list[Event] = [Open(ToolCall("d", "now")), Delta([b"{}"]), Close()]
SAID: list[Event] = [Open(Text("")), Delta([b"Well"]), Close(citations=[Citation("messages", "x")])]


def asked(policy: Policy = Policy(), **more: Any) -> Asked:
    return Asked("m", "k", search=SEARCH, policy=policy, **more)


def end(reason: StopReason, output: int = 3) -> Stop:
    return Stop(reason, Usage(10, output=output))


def kinds(events: list[Event]) -> list[str]:
    opened = [event.part for event in events if isinstance(event, Open)]
    return [part.kind if isinstance(part, Unknown) else type(part).__name__ for part in opened]


BLOCKS = ["server_tool_use", "tool_search_tool_result"]
ENDS: list[tuple[list[Event], StopReason, bool]] = [
    (SEARCHED, "tool_calls", True),
    (SEARCHED, "end", True),  # servers say so too
    ([*SEARCHED, *CALLED], "tool_calls", False),
    ([*CALLED, *SEARCHED], "tool_calls", False),
    ([*SEARCHED, Open(Unknown("responses", {"type": "shell_call"})), Close()], "tool_calls", False),
    (SEARCHED, "length", False),
    (SEARCHED, "refusal", False),
    (CALLED, "tool_calls", False),
    (SAID, "end", False),
    (SAID, "pause", False),  # no provider's tools were offered
]


@pytest.mark.parametrize(("events", "reason", "goes_on"), ENDS)
@pytest.mark.parametrize("whole", [True, False])
def test_when_it_goes_on(events: list[Event], reason: StopReason, goes_on: bool, whole: bool) -> None:
    rounds = Rounds(asked(), of_search)
    given = [Start(), *events, end(reason)]
    out = rounds.passed(given) if whole else [new for event in given for new in rounds.passed([event])]
    assert rounds.goes_on is goes_on and "Rounds" in repr(rounds)
    assert isinstance(out[-1], Stop) is not goes_on
    if goes_on:
        assert kinds(out) == BLOCKS and rounds.usage == Usage(10, output=3)
        (turn,) = rounds.turns
        assert turn.role == "assistant" and len(turn.parts) == 2
    else:
        assert out[-1] == end(reason) and rounds.turns == []


@pytest.mark.parametrize("calls", [True, False])
def test_a_pause(calls: bool) -> None:
    """What has come is the history of the next request, proofs and citations with it."""
    rounds = Rounds(Asked("m", "k", pauses=True), of_search)
    thought: list[Event] = [Open(Thinking(ext={"messages": {"a": 1}})), Delta([b"Hm"]), Close("sig")]
    out = rounds.passed([Start(), *thought, *SAID, *(CALLED if calls else []), end("pause")])
    if calls:  # the client has something to answer first
        assert not rounds.goes_on and isinstance(out[-1], Stop) and out[-1].reason == "tool_calls"
        return
    assert rounds.turns == [Turn("assistant", [
        Thinking("Hm", "sig", ext={"messages": {"a": 1}}), Text("Well", {}, [Citation("messages", "x")]),
    ])]  # fmt: skip
    rounds.goes_on = False
    out = rounds.passed([Start(usage=Usage(10)), Ping(), *SAID, end("end", 4)])
    assert not any(isinstance(event, Start) for event in out) and Ping() in out
    assert out[-1] == Stop("end", Usage(20, output=7)) and rounds.usage is None


def test_usage_that_is_not_told_is_not_made_up() -> None:
    rounds = Rounds(asked(), of_search)
    rounds.passed([Start(), *SEARCHED, Stop("tool_calls")])
    assert rounds.usage is None
    assert rounds.passed([*SAID, end("end")])[-1] == end("end")


@pytest.mark.parametrize("bound", [0, 1, 2])
def test_the_bound(bound: int) -> None:
    rounds = Rounds(asked(Policy(max_continuations=bound)), of_search)
    for _ in range(bound):
        rounds.passed([*SEARCHED, end("tool_calls")])
        assert rounds.goes_on
        rounds.goes_on = False
    out = rounds.passed([*SEARCHED, end("tool_calls")])
    assert not rounds.goes_on and isinstance(out[-1], Stop) and out[-1].reason == "pause"
    assert out[-1].usage == Usage(10 * (bound + 1), output=3 * (bound + 1))


def test_half_a_search_is_none() -> None:
    fault = Fault(ApiError("api", "gone"))
    assert Rounds(asked(), of_search).passed([*SEARCHED[:2], fault]) == [fault]
    rounds = Rounds(asked(), of_search)
    assert rounds.passed([*SEARCHED[:2], end("length")]) == [end("length")] and not rounds.goes_on


def test_a_search_whose_arguments_were_cut_is_told_as_a_failure() -> None:
    out = Rounds(asked(), of_search).passed([Open(ToolCall("c", "s")), Delta([b"{"]), Close(), end("length")])
    assert kinds(out) == BLOCKS and out[-1] == end("length")


# -------------------------------------------------------------------------------------- through a whole crossing


def completion(name: str, arguments: str, finish: str = "tool_calls") -> bytes:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "tool_calls": [call]}
    usage = {"prompt_tokens": 10, "completion_tokens": 3}
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}], "usage": usage}).encode()


def test_names_that_were_changed_are_changed_back_in_each_round() -> None:
    crossing = pair.Crossing("messages", "chat", asked())
    assert crossing.whole(completion("s", '{"query":"mail"}')) == b"" and crossing.goes_on
    assert crossing.usage == Usage(10, output=3, ext=crossing.usage.ext if crossing.usage else {})
    crossing.next_round(Asked("m", "k", tool_names={"odd_name": "odd.name"}))
    assert not crossing.goes_on
    said = json.loads(crossing.whole(completion("odd_name", "{}")))
    assert [block.get("name") for block in said["content"]] == ["s", None, "odd.name"]
    assert said["usage"]["input_tokens"] == 20


def test_a_sign_of_life_between_two_rounds() -> None:
    """Nothing of the first one was to be told: the stream begins with the sign."""
    crossing = pair.Crossing("chat", "messages", Asked("m", "k", pauses=True))
    assert crossing.begin() == b""
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    reply = {"type": "message", "content": [block], "stop_reason": "pause_turn", "usage": {"output_tokens": 1}}
    crossing.whole_as_stream(json.dumps(reply).encode())
    assert crossing.goes_on
    crossing.next_round(Asked("m", "k"))
    assert b"chat.completion.chunk" in crossing.begin() or crossing.started
    assert b"error" in crossing.fail(ApiError("api", "gone")) and crossing.usage is not None


def test_a_crossing_that_takes_one_request_has_no_rounds() -> None:
    crossing = pair.Crossing("messages", "chat", Asked("m", "k"))
    assert not crossing.goes_on and crossing.turns == []
