"""Gemini's proofs beside calls and messages: they reach clients of every protocol, and come back to their places."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.grammar import check_chat, check_messages, check_responses
from tests.conftest import exchange_files, read_exchange
from tests.support import lacking
from translate import dialects, pair
from translate.chat import extras
from translate.conversation import Text, Thinking
from translate.json import wire
from translate.reasoning import foreign_reasoning, sealed_reasoning
from translate.target import Asked, Policy, Protocol, Target

RECORDED = "chat-gemini-compat-n-11e63ba0bc"
FIRST = {"google": {"thought_signature": "AVSoXO4/lu90+Bn7=="}}
SECOND = {"google": {"thought_signature": "Second/+=="}, "other": [1]}
USER = {"role": "user", "content": "x"}
GEMINI = Target("gemini-3-pro", Policy(tool_schema="gemini"))
VERTEX = Target("google/gemini-3-pro")


def call(n: int, extra: Any = None) -> dict[str, Any]:
    made = {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": f'{{"n":{n}}}'}}
    return made | ({"extra_content": extra} if extra else {})


def told(message: dict[str, Any], finish: str = "tool_calls") -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}]}


def streamed(message: dict[str, Any]) -> bytes:
    """One delta for each call, as Gemini streams them: whole, and without an index."""
    deltas: list[dict[str, Any]] = [{"tool_calls": [each]} for each in message.get("tool_calls", [])]
    deltas = [{key: value for key, value in message.items() if key != "tool_calls"}, *deltas]
    chunks = [{"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks[-1]["choices"][0]["finish_reason"] = "stop"  # type: ignore[index]
    return b"".join(b"data: %b\n\n" % wire.dumps(chunk) for chunk in chunks) + b"data: [DONE]\n\n"


def reply(client: Protocol, message: dict[str, Any], stream: bool = False, upstream: Protocol = "chat") -> Any:
    crossing = pair.Crossing(client, upstream, Asked("m", "k"))
    raw = streamed(message) if stream else json.dumps(told(message)).encode()
    return json.loads(crossing.whole(raw, stream))


def said(client: Protocol, answer: dict[str, Any]) -> list[Any]:
    """The client's history of it, with results for its calls."""
    if client == "messages":
        calls = [block["id"] for block in answer["content"] if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": id, "content": "ok"} for id in calls]
        last = {"role": "user", "content": results} if results else USER
        return [USER, {"role": "assistant", "content": answer["content"]}, last]
    items = answer["output"]
    outputs = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "ok"}
        for item in items
        if item["type"] == "function_call"
    ]
    return [USER, *items, *(outputs or [USER])]


def body_of(client: Protocol, history: list[Any]) -> dict[str, Any]:
    if client == "messages":
        return {"model": "m", "max_tokens": 20, "messages": history}
    return {"model": "m", "input": history}


def back(client: Protocol, history: list[Any], target: Target = GEMINI, upstream: Protocol = "chat") -> Any:
    encoded = pair.request(client, upstream, body_of(client, history), target)
    return json.loads(encoded.json()), encoded.dropped


CLIENTS = pytest.mark.parametrize("client", ["messages", "responses"])
MESSAGES: list[dict[str, Any]] = [
    {"tool_calls": [call(1, FIRST)]},
    {"tool_calls": [call(1, FIRST), call(2)]},
    {"tool_calls": [call(1, FIRST), call(2, SECOND)]},
    {"tool_calls": [call(1), call(2, SECOND)]},
    {"content": "I look.", "tool_calls": [call(1, FIRST), call(2), call(3, SECOND)]},
    {"content": "Noon.", "extra_content": FIRST},
    {"content": "Noon.", "extra_content": FIRST, "tool_calls": [call(1, SECOND)]},
]


@CLIENTS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("message", MESSAGES)
def test_each_proof_comes_back_where_it_stood(client: Protocol, stream: bool, message: dict[str, Any]) -> None:
    sent, dropped = back(client, said(client, reply(client, message, stream)))
    assert sent["messages"][1] == {"role": "assistant", "content": None} | message
    assert dropped == []


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("message", MESSAGES)
def test_streams_with_them_are_legal(message: dict[str, Any], size: int) -> None:
    raw = streamed(message)
    for client, check in (("messages", check_messages), ("responses", check_responses), ("chat", check_chat)):
        crossing = pair.Crossing(client, "chat", Asked("m", "k"))  # type: ignore[arg-type]
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        out = b"".join([*map(crossing.feed, pieces), crossing.end()])
        assert check(out) == []  # type: ignore[operator]
        assert client == "chat" or out.count(b"~sealed.") > 0


@pytest.mark.parametrize("message", MESSAGES)
def test_a_chat_clients_own_come_back_to_gemini_and_are_named_for_others_alone(message: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [USER, {"role": "assistant"} | message, *outputs_of(message)]}
    sent = pair.request("chat", "gemini", body, Target("gemini-3-pro"))
    told = [part["thoughtSignature"] for part in json.loads(sent.json())["contents"][1]["parts"] if len(part) > 1]
    given = [each["extra_content"] for each in [message, *message.get("tool_calls", [])] if "extra_content" in each]
    assert told == [extra["google"]["thought_signature"] for extra in given]
    assert sent.dropped == []
    assert pair.request("chat", "messages", body, Target("claude-opus-4-5")).dropped == ["extra_content"]


def outputs_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": each["id"], "content": "r"} for each in message.get("tool_calls", [])]


@CLIENTS
def test_a_recorded_one_comes_back(client: Protocol) -> None:
    found = [path for path in exchange_files() if path.stem == RECORDED]
    if not found:
        pytest.skip(lacking.TRAFFIC)
    message = read_exchange(found[0])["response"]["body"]["choices"][0]["message"]
    sent, _ = back(client, said(client, reply(client, message)))
    assert sent["messages"][1]["extra_content"] == message["extra_content"]
    assert sent["messages"][1]["content"] == message["content"]


@CLIENTS
def test_nobody_else_is_shown_them(client: Protocol) -> None:
    history = said(client, reply(client, MESSAGES[4]))
    other: Protocol = "responses" if client == "messages" else "messages"
    kept = Policy(reasoning_history="true")
    for target, upstream in ((Target("gpt-5", kept), "chat"), (Target("claude-opus-4-5"), other)):
        sent, dropped = back(client, history, target, upstream)  # type: ignore[arg-type]
        assert not any(word in json.dumps(sent) for word in ("sealed", "extra_content", "redacted", "AVSoXO"))
        assert dropped == (["messages.thinking"] if client == "messages" else ["input.reasoning"]) or upstream == "chat"
    own, dropped = foreign_reasoning.request(dialects.of(client), wire.dumps(body_of(client, history)))
    assert b"sealed" not in own and dropped


def test_a_preset_that_cuts_schemas_for_gemini_gets_them_under_any_name() -> None:
    history = said("messages", reply("messages", MESSAGES[0]))
    sent, _ = back("messages", history, Target("my-deployment", Policy(tool_schema="gemini")))
    assert sent["messages"][1]["tool_calls"] == [call(1, FIRST)]


def test_vertex_calls_itself_otherwise() -> None:
    message = {"tool_calls": [call(1, {"vertex": {"thought_signature": "AY89a18I"}})]}
    assert (
        back("messages", said("messages", reply("messages", message)), VERTEX)[0]["messages"][1]["tool_calls"]
        == (message["tool_calls"])
    )


@CLIENTS
@pytest.mark.parametrize(("model", "says"), [("gemini-3-pro", True), ("gemini-2.5-pro", False), ("my-own", False)])
def test_calls_that_another_model_made_are_marked_as_such(client: Protocol, model: str, says: bool) -> None:
    """Gemini's third generation answers 400 to a step's first call without a proof; the others need none."""
    history = said(client, reply(client, {"tool_calls": [call(1), call(2)]}))
    sent, _ = back(client, history, Target(model, Policy(tool_schema="gemini")))
    marked = call(1, {"google": {"thought_signature": extras.UNSIGNED}}) if says else call(1)
    assert sent["messages"][1]["tool_calls"] == [marked, call(2)]
    elsewhere, _ = back(client, history, Target(model))
    assert "extra_content" not in json.dumps(elsewhere)


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_client_of_a_rebuilt_reply_sees_them_in_their_places(stream: bool, message: dict[str, Any]) -> None:
    got = reply("chat", message, stream)["choices"][0]["message"]
    for key in ("tool_calls", "extra_content"):
        assert got.get(key) == message.get(key)
    assert "reasoning_details" not in got
    crossing = pair.Crossing("chat", "chat", Asked("m", "k"))
    out = crossing.feed(streamed(message)) + crossing.end()
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in out.decode().split("\n") if line[6:7] == "{"]
    begun = [each for delta in deltas for each in delta.get("tool_calls", []) if "id" in each]
    wanted = [each.get("extra_content") for each in message.get("tool_calls", [])]
    assert [each.get("extra_content") for each in begun] == wanted
    beside = [message["extra_content"]] if "extra_content" in message else []
    assert [delta["extra_content"] for delta in deltas if "extra_content" in delta] == beside


def test_one_that_comes_after_the_text_stays_behind() -> None:
    """Clients take a reply's last part for the answer."""
    parts = streamed({"content": "Noon."}).replace(b"data: [DONE]\n\n", b"")
    late = {"choices": [{"index": 0, "delta": {"content": "", "extra_content": FIRST}, "finish_reason": "stop"}]}
    crossing = pair.Crossing("messages", "chat", Asked("m", "k"))
    whole = json.loads(crossing.whole(parts + b"data: %b\n\ndata: [DONE]\n\n" % wire.dumps(late), True))
    assert [block["type"] for block in whole["content"]] == ["text"]


@pytest.mark.parametrize("extra", [None, {}, [], {"google": {}}, {"google": {"thought": True}}, {"google": 7}, 1, "x"])
def test_without_a_signature_nothing_is_kept(extra: Any) -> None:
    assert extras.sealed({"extra_content": extra}, extras.OF_CALL) is None


@pytest.mark.parametrize(
    "part",
    [
        None,
        Text("x"),
        Thinking(encrypted="DATA"),
        Thinking(encrypted=sealed_reasoning.of_extra({"call": {}})[:-3]),
        Thinking(encrypted=sealed_reasoning.of_extra({"call": 7})),
        Thinking(encrypted=sealed_reasoning.of_extra({"else": {}})),
    ],
)
def test_what_is_damaged_or_none_opens_to_nothing(part: Any) -> None:
    assert extras.opened(part) is None
