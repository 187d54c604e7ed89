"""What upstreams teach by their 400s is applied at once and from then on, and no further."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.flow import failover
from gateway.refusals.learned_quirks import EXPIRY_S, MAX_EACH, MAX_LEARNED, LearnedQuirks, Quirk
from tests.gateway.refusals.test_reading_refusals import GOOGLES, LIKELY, NO_LOGPROBS, NO_THOUGHTS, THOUGHTS, openai
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import late

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
COMPLETION = {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
              "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
              "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip


def test_what_claude_refuses_of_thinking_is_told() -> None:
    def answer(request: Request) -> Answer:
        if "thinking" in request.json:
            words = "adaptive thinking is not supported on this model"
            return Answer.json({"type": "error", "error": {"type": "invalid_request_error", "message": words}}, 400)
        usage = {"input_tokens": 1, "output_tokens": 1}
        return Answer.json({"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": usage,
                            "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"})  # fmt: skip

    ask = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "reasoning_effort": "high"}
    with Upstream(answer) as up, House(one_upstream(up.url, "messages")) as house:
        status, headers, _ = house.post("/v1/chat/completions", ask)
        assert (status, headers["x-proxy-dropped"], len(up.requests)) == (200, "reasoning_effort", 2)


def test_tools_of_a_model_that_refuses_strict_ones_are_offered_all_the_same() -> None:
    """Claude Opus 5.5 and Fable 5.1 at Bedrock, and Vertex AI until lately, behind any gateway."""

    def answer(request: Request) -> Answer:
        if any("strict" in tool for tool in request.json["tools"]):
            words = "tools.0.custom.strict: Extra inputs are not permitted"
            return Answer.json({"type": "error", "error": {"type": "invalid_request_error", "message": words}}, 400)
        usage = {"input_tokens": 1, "output_tokens": 1}
        return Answer.json({"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": usage,
                            "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"})  # fmt: skip

    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    tools = [{"type": "function", "name": name, "parameters": schema, "strict": name == "g"} for name in "fg"]
    ask = {"model": "claude-opus-5-5", "input": "hi", "tools": tools}
    with Upstream(answer) as up, House(one_upstream(up.url, "messages")) as house:
        replies = [house.post("/v1/responses", ask) for _ in range(2)]
        assert [(status, headers["x-proxy-dropped"]) for status, headers, _ in replies] == [(200, "tools.strict")] * 2
        assert [[tool.get("strict") for tool in request.json["tools"]] for request in up.requests] == [
            [None, True], [None, None], [None, None]]  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize(("refusal", "word"), [(NO_LOGPROBS, LIKELY), (NO_THOUGHTS, THOUGHTS)])
def test_of_what_is_to_be_included_only_the_refused_word_is_left_out(path: str, refusal: Any, word: str) -> None:
    """Models behind names of one's own; for clients of Responses, another model than they have named."""

    def answer(request: Request) -> Answer:
        if word in request.json["include"]:
            return Answer.json(refusal, 400)
        message = {"type": "message", "id": "i", "role": "assistant", "status": "completed",
                   "content": [{"type": "output_text", "text": "ok", "annotations": [], "logprobs": []}]}  # fmt: skip
        return Answer.json({"id": "r", "object": "response", "status": "completed", "model": "m", "output": [message]})

    ask: dict[str, Any] = {"model": "known", "messages": ASK["messages"], "logprobs": True}
    if path == "/v1/responses":
        ask = {"model": "known", "input": "hi", "include": [THOUGHTS, LIKELY], "store": False}
    named = "logprobs" if "messages" in ask else "include"
    dropped = "" if named == "logprobs" and word == THOUGHTS else named  # the proxy's own wish
    with Upstream(answer) as up, House(one_upstream(up.url, "responses") + "known = up/mine\n") as house:
        replies = [house.post(path, ask) for _ in range(2)]
        assert [(status, headers.get("x-proxy-dropped", "")) for status, headers, _ in replies] == [(200, dropped)] * 2
        assert [request.json["include"] for request in up.requests[1:]] == [[({THOUGHTS, LIKELY} - {word}).pop()]] * 2


def test_a_server_that_knows_no_phases_is_sent_none() -> None:
    def answer(request: Request) -> Answer:
        for i, item in enumerate(request.json["input"]):
            if "phase" in item:
                return Answer.json(openai(f"Unknown parameter: 'input[{i}].phase'."), 400)
        said = {"type": "message", "id": "m", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "ok", "annotations": []}]}  # fmt: skip
        return Answer.json({"id": "r", "object": "response", "status": "completed", "model": "m", "output": [said],
                            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}})  # fmt: skip

    said = [*ASK["messages"], {"role": "assistant", "content": "Hi."}, *ASK["messages"]]
    with Upstream(answer) as up, House(one_upstream(up.url, "responses")) as house:
        for _ in range(2):
            status, headers, _ = house.post("/v1/messages", ASK | {"model": "gpt-5.5", "messages": said})
            assert status == 200 and "x-proxy-dropped" not in headers
        assert ["phase" in request.json["input"][1] for request in up.requests] == [True, False, False]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_who_must_think_is_not_told_otherwise_again(path: str) -> None:
    """OpenRouter, of those of its models that always think. Claude Code has its small requests answered without."""

    def answer(request: Request) -> Answer:
        if request.json.get("reasoning") == {"enabled": False}:
            return Answer.json(openai("Reasoning is mandatory for this endpoint and cannot be disabled."), 400)
        return Answer.json(COMPLETION)

    asks = {"/v1/messages": (ASK | {"thinking": {"type": "disabled"}}, "thinking"),
            "/v1/responses": ({"model": "m", "input": "hi", "reasoning": {"effort": "none"}}, "reasoning")}  # fmt: skip
    ask, word = asks[path]
    with Upstream(answer) as up, House(one_upstream(up.url, "chat", "thinking_switch = reasoning")) as house:
        replies = [house.post(path, ask) for _ in range(2)]
        assert [(status, headers["x-proxy-dropped"]) for status, headers, _ in replies] == [(200, word)] * 2
        assert len(up.requests) == 3


def test_lessons_are_bounded_and_expire() -> None:
    now = [0.0]
    quirks = LearnedQuirks(lambda: now[0])
    assert quirks.learn("up", "m", Quirk("a")) and not quirks.learn("up", "m", Quirk("a"))
    now[0] = 10.0
    assert quirks.learn("up", "m", Quirk("b", "c"))
    assert quirks.of("up", "m") == [Quirk("a"), Quirk("b", "c")] and quirks.of("up", "other") == []
    assert quirks.all() == {"up/m": ["'a' is left out", "'b' is sent as 'c'"]}
    now[0] = EXPIRY_S
    assert quirks.of("up", "m") == [Quirk("b", "c")]
    now[0] = EXPIRY_S + 10
    assert quirks.of("up", "m") == [] and quirks.all() == {} and quirks.learn("up", "m", Quirk("a"))
    for i in range(MAX_EACH + 5):
        quirks.learn("up", "m", Quirk(f"f{i}"))
    assert len(quirks.of("up", "m")) == MAX_EACH
    for i in range(MAX_LEARNED + 5):
        quirks.learn("up", f"m{i}", Quirk("a"))
    assert quirks.of("up", "m") == quirks.of("up", "m0") == [] != quirks.of("up", f"m{MAX_LEARNED}")
    assert repr(quirks) == f"<LearnedQuirks of {MAX_LEARNED} models>"


# ------------------------------------------------------------------------------------------- the whole proxy


def picky(*fields: str, stream: bool = False) -> Any:
    """An upstream that knows none of the fields."""

    def answer(request: Request) -> Answer:
        for field in fields:
            if field in request.json:
                return Answer.json(openai(f"Unrecognized request argument supplied: {field}"), 400)
        return Answer.json(COMPLETION)

    return answer


def test_it_is_sent_again_at_once_and_right_from_then_on() -> None:
    ask = ASK | {"temperature": 0.5}
    with Upstream(picky("temperature")) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, body = house.post("/v1/messages", ask)
        assert status == 200 and json.loads(body)["content"][0]["text"] == "ok"
        assert headers["x-proxy-dropped"] == "temperature"
        assert ["temperature" in request.json for request in up.requests] == [True, False]
        status, headers, _ = house.post("/v1/messages", ask)
        assert (status, headers["x-proxy-dropped"], len(up.requests)) == (200, "temperature", 3)
        assert "temperature" not in up.requests[2].json
        house.post("/v1/messages", ask | {"model": "another"})  # learned for one model only
        assert "temperature" in up.requests[3].json
        assert house.on_loop(lambda: dict(house.proxy.service.observers.dropped)) == {"temperature": 3}
        known = house.on_loop(lambda: house.proxy.service.quirks.all())
        assert known == {"up/m": ["'temperature' is left out"], "up/another": ["'temperature' is left out"]}


@pytest.mark.parametrize(
    ("field", "words"),
    [("temperature", "Unrecognized request argument supplied: temperature"),
     ("max_tokens", "max_tokens is too large: 32000. This model supports at most 16384 completion tokens")],
)  # fmt: skip
def test_what_one_has_met_helps_another_that_was_on_its_way(field: str, words: str) -> None:
    gate = Gate()

    def answer(request: Request) -> Answer:
        refused = request.json.get(field) in (0.5, 32000)
        return late(Answer.json(openai(words), 400), gate) if refused else Answer.json(COMPLETION)

    ask = ASK | {"temperature": 0.5, "max_tokens": 32000}
    with Upstream(answer) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as first, house.connect() as second:
            for client in (first, second):
                client.send("POST", "/v1/messages", ask)
            up.wait(lambda u: len(u.requests) == 2)
            gate.open()
            assert [client.reply()[0] for client in (first, second)] == [200, 200]
        assert len(up.requests) == 4


def test_what_is_known_and_no_help_is_tried_once_more_and_no_oftener() -> None:
    words = "Unrecognized request argument supplied: temperature"
    answers = [Answer.json(openai(words), 400), Answer.json(COMPLETION), *[Answer.json(openai(words), 400)] * 2]
    with Upstream(answers) as up, House(one_upstream(up.url, "chat")) as house:
        assert [house.post("/v1/messages", ASK | {"temperature": 0.5})[0] for _ in range(2)] == [200, 400]
        assert len(up.requests) == 4


WANTS_THOUGHTS = [
    "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
]


@pytest.mark.parametrize("words", WANTS_THOUGHTS)
def test_a_model_that_wants_its_thoughts_back_gets_them_from_then_on(words: str) -> None:
    """DeepSeek's and Kimi's, behind addresses of which nobody has said so: also where there was no thought."""

    def script(request: Request) -> Answer:
        turns = [turn for turn in request.json["messages"] if turn["role"] == "assistant"]
        whole = all(turn.get("reasoning_content") for turn in turns)
        return Answer.json(COMPLETION) if whole else Answer.json(openai(words), 400)

    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "r"}
    turns: list[Any] = [
        *ASK["messages"], {"role": "assistant", "content": [thought, call]}, {"role": "user", "content": [result]},
        {"role": "assistant", "content": [call | {"id": "u"}]},
        {"role": "user", "content": [result | {"tool_use_id": "u"}]},
    ]  # fmt: skip
    with Upstream(script) as up, House(one_upstream(up.url, "chat")) as house:
        for _ in range(2):
            assert house.post("/v1/messages", ASK | {"messages": turns})[0] == 200
        assert len(up.requests) == 3
        told = [turn.get("reasoning_content") for turn in up.requests[-1].json["messages"]]
        assert told == [None, "hm", None, " ", None]
        known = house.on_loop(lambda: house.proxy.service.quirks.all())
        assert "reasoning_history = always" in known["up/m"][0]


@pytest.mark.parametrize("words", WANTS_THOUGHTS)
def test_who_talks_about_that_refusal_teaches_nothing(words: str) -> None:
    asked = ASK | {"messages": [{"role": "user", "content": f"What does this mean: {words}"}]}
    with Upstream(lambda request: Answer.json(openai(words), 400)) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/messages", asked)[0] == 400 and len(up.requests) == 1


REFUSES_PROOFS = [
    "Extra inputs are not permitted, field: 'messages[1].thinking_blocks'",  # Fireworks
    "messages.1.thinking_blocks: Extra inputs are not permitted",  # Databricks
    "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'thinking_blocks' is "
    "unsupported)]",  # Groq
]


@pytest.mark.parametrize("words", REFUSES_PROOFS)
def test_what_one_gateway_has_signed_does_not_stop_a_conversation_at_another(words: str) -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "S=="}
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"},
            "provider_specific_fields": {"thought_signature": "G=="}}  # fmt: skip
    said = {"role": "assistant", "content": "I look.", "thinking_blocks": [signed], "tool_calls": [call]}
    litellm = {"id": "c", "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}

    def script(request: Request) -> Answer:
        if len(request.json["messages"]) == 1:
            return Answer.json(litellm)
        refused = any("thinking_blocks" in turn for turn in request.json["messages"])
        return Answer.json(openai(words), 400) if refused else Answer.json(COMPLETION)

    with Upstream(script) as up, House(one_upstream(up.url, "chat")) as house:
        reply = json.loads(house.post("/v1/messages", ASK)[2])
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "r"}
        turns: list[Any] = [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": [result]}]
        for _ in range(2):
            status, headers, _ = house.post("/v1/messages", ASK | {"messages": [*ASK["messages"], *turns]})
            assert status == 200 and headers["x-proxy-dropped"] == "messages.thinking"
        assert len(up.requests) == 4
        told = up.requests[-1].json["messages"][1]
        assert told["content"] == "I look." and "provider_specific_fields" not in told["tool_calls"][0]
        known = house.on_loop(lambda: house.proxy.service.quirks.all())
        assert "another gateway has signed" in known["up/m"][0]


def test_one_of_two_that_exclude_each_other_is_left_out() -> None:
    def script(request: Request) -> Answer:
        if {"temperature", "top_p"} <= request.json.keys():
            said = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
            return Answer.json(openai(said), 400)
        return Answer.json(COMPLETION)

    both = {"temperature": 0.5, "top_p": 0.9}
    with Upstream(script) as up, House(one_upstream(up.url, "chat")) as house:
        for more in (both, both, {"top_p": 0.9}):
            assert house.post("/v1/messages", ASK | more)[0] == 200
        taken = [request.json.keys() & both.keys() for request in up.requests]
    assert taken == [both.keys(), {"temperature"}, {"temperature"}, {"top_p"}]
    assert str(Quirk("top_p", beside="temperature")) == "'top_p' is left out beside 'temperature'"


def test_the_limit_is_renamed_and_never_lost() -> None:
    with Upstream(picky("max_tokens")) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, _ = house.post("/v1/messages", ASK)
        assert status == 200 and "x-proxy-dropped" not in headers
        assert [request.json.get("max_completion_tokens") for request in up.requests] == [None, 50]


def test_a_stream_is_sent_again_too() -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    script = [Answer.json(openai("Unrecognized request argument supplied: stream_options"), 400), Answer.sse([chunk])]
    with Upstream(script) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, body = house.post("/v1/messages", ASK | {"stream": True})
        assert status == 200 and b"message_stop" in body and len(up.requests) == 2
        assert "stream_options" not in up.requests[1].json
        assert "x-proxy-dropped" not in headers  # it was the proxy's own, not the client's


@pytest.mark.parametrize(
    ("ask", "refused"),
    [
        (ASK, "temperature"),  # not in the body
        (ASK | {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}, "tools"),  # what it is about
    ],
)
def test_nothing_is_sent_again_for_what_cannot_be_left_out(ask: Any, refused: str) -> None:
    answer = Answer.json(openai(f"Unrecognized request argument supplied: {refused}"), 400)
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, body = house.post("/v1/messages", ask)
        assert status == 400 and refused in json.loads(body)["error"]["message"] and len(up.requests) == 1


def test_what_is_refused_one_by_one_is_learned_within_one_request() -> None:
    """OpenAI names the first of the parameters that a model does not take, and the next one only after that."""
    ask = ASK | {"temperature": 0.5, "top_p": 0.5, "stop_sequences": ["x"]}
    with Upstream(picky("temperature", "top_p", "stop")) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, _ = house.post("/v1/messages", ask)
        assert (status, headers["x-proxy-attempts"], len(up.requests)) == (200, "4", 4)
        assert set(headers["x-proxy-dropped"].split(", ")) == {"temperature", "top_p", "stop_sequences"}
        assert house.post("/v1/messages", ask)[0] == 200 and len(up.requests) == 5


def test_it_is_tried_so_often_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "MOST_TAUGHT", 2)
    ask = ASK | {"temperature": 0.5, "top_p": 0.5, "stop_sequences": ["x"]}
    with Upstream(picky("temperature", "top_p", "stop")) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, body = house.post("/v1/messages", ask)
        assert status == 400 and "stop" in json.loads(body)["error"]["message"] and len(up.requests) == 3
        assert house.post("/v1/messages", ask)[0] == 200  # one more is learned


def test_passthrough_is_never_touched() -> None:
    with Upstream(picky("seed")) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/chat/completions", ASK | {"seed": 1})[0] == 400
        assert house.post("/v1/chat/completions", ASK | {"seed": 1})[0] == 400
        assert len(up.requests) == 2 and all("seed" in request.json for request in up.requests)


def test_who_has_named_another_model_is_fitted_to_this_one() -> None:
    """gpt-4o* = openai/gpt-5.1: the client says what it knows of the one, in the protocol of both."""
    settings = one_upstream("URL", "chat") + "known* = up/newest\n"
    message = {"role": "user", "content": 'its "max_tokens": 5'}
    ask = {"model": "known-1", "max_tokens": 5, "messages": [message], "seed": 1}
    sent = json.dumps(ask, indent=1).encode()
    with Upstream(picky("max_tokens", "seed")) as up, House(settings.replace("URL", up.url)) as house:
        for attempts in (3, 1):
            status, headers, body = house.post("/v1/chat/completions", sent)
            assert (status, headers["x-proxy-attempts"], headers["x-proxy-dropped"]) == (200, str(attempts), "seed")
            assert json.loads(body)["model"] == "known-1"
        fitted = {"model": "newest", "max_completion_tokens": 5, "messages": [message]}
        assert up.requests[-1].json == fitted and [*up.requests[-1].json] == [*fitted]
        assert house.post("/v1/chat/completions", ask | {"model": "up/newest"})[0] == 400  # it knows what it asks


def test_it_can_be_switched_off() -> None:
    settings = one_upstream("URL", "chat") + "[translate]\nlearn = false\n"
    with Upstream(picky("temperature")) as up, House(settings.replace("URL", up.url)) as house:
        assert house.post("/v1/messages", ASK | {"temperature": 0.5})[0] == 400
        assert len(up.requests) == 1


# --------------------------------------------------------------------------------------------------- strict


def test_strict_refuses_what_would_be_dropped_and_names_it() -> None:
    settings = one_upstream("URL", "chat") + "[translate]\nstrict = true\n"
    with Upstream(picky("temperature")) as up, House(settings.replace("URL", up.url)) as house:
        status, _, body = house.post("/v1/messages", ASK | {"top_k": 5, "container": "c"})
        message = json.loads(body)["error"]["message"]
        assert status == 400 and "top_k" in message and "container" in message and "'up'" in message
        assert up.requests == []
        assert house.post("/v1/messages", ASK)[0] == 200
        assert house.post("/v1/chat/completions", ASK | {"top_k": 5})[0] == 200  # passes through
        status, _, body = house.post("/v1/messages", ASK | {"temperature": 0.5})  # what is learned is no exception
        assert status == 400 and "strict" in json.loads(body)["error"]["message"]


def test_strict_speaks_the_clients_dialect() -> None:
    settings = one_upstream("http://127.0.0.1:9", "messages") + "[translate]\nstrict = true\n"
    with House(settings) as house:
        status, _, body = house.post("/v1/chat/completions", ASK | {"seed": 5})
        error = json.loads(body)["error"]
        assert (status, error["param"], error["type"]) == (400, "seed", "invalid_request_error")


def test_what_was_learned_is_shown_to_an_admin() -> None:
    keys = "[client boss]\nkey = boss-boss-boss-boss\nadmin = true\n[client other]\nkey = other-other-other\n"
    with Upstream(picky("temperature")) as up, House(one_upstream(up.url, "chat") + keys) as house:
        boss, other = {"x-api-key": "boss-boss-boss-boss"}, {"x-api-key": "other-other-other"}
        assert json.loads(house.get("/debug/quirks", boss)[2]) == {"learned": {}, "dropped": {}}
        assert house.post("/v1/messages", ASK | {"temperature": 0.5, "top_k": 3}, other)[0] == 200
        status, headers, raw = house.get("/debug/quirks", boss)
        shown = json.loads(raw)
        assert status == 200 and headers["cache-control"] == "no-store"
        assert shown["learned"] == {"up/m": ["'temperature' is left out, for client other alone"]}
        assert shown["dropped"]["top_k"] == shown["dropped"]["temperature"] == 1
        assert [house.get("/debug/quirks", key)[0] for key in ({}, other)] == [401, 403]
    with House(one_upstream("http://127.0.0.1:9", "chat")) as house:
        assert house.get("/debug/quirks")[0] == 200
        assert house.get("/debug/quirks", {"Origin": "https://evil.example"})[0] == 403
        assert house.request("DELETE", "/debug/quirks")[0] == 405


def test_what_was_of_no_help_is_forgotten() -> None:
    always = Answer.json({"error": {"message": "Unsupported parameter: temperature"}}, 400)
    with Upstream([always]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/messages", ASK | {"temperature": 0.5})[0] == 400
        assert house.on_loop(lambda: house.proxy.service.quirks.all()) == {}


# ------------------------------------------------------------------------------------------- several clients

CLIENTS = "".join(f"[client {name}]\nkey = {name}-key-0123456789abcdef\n" for name in ("alice", "bob", "carol"))


def key_of(name: str) -> dict[str, str]:
    return {"x-api-key": f"{name}-key-0123456789abcdef"}


def test_what_one_client_brings_about_holds_for_nobody_else_until_another_meets_it_too() -> None:
    def sent(who: str) -> list[bool]:
        """Whether each request that went to the upstream for this client had the field."""
        before = len(up.requests)
        assert house.post("/v1/messages", ASK | {"temperature": 0.5}, key_of(who))[0] == 200
        return ["temperature" in request.json for request in up.requests[before:]]

    def known() -> Any:
        return house.on_loop(lambda: house.proxy.service.quirks.all())

    with Upstream(picky("temperature")) as up, House(one_upstream(up.url, "chat") + CLIENTS) as house:
        assert sent("alice") == [True, False] and sent("alice") == [False]
        assert known() == {"up/m": ["'temperature' is left out, for client alice alone"]}
        assert sent("bob") == [True, False] and sent("bob") == [False]
        assert sent("carol") == [False]
        assert known() == {"up/m": ["'temperature' is left out"]}


def test_who_teaches_what_to_whom() -> None:
    quirks = LearnedQuirks(lambda: 0.0)
    quirks.learn("up", "m", Quirk("before"))
    quirks.several = True
    alice, bob, carol = map(quirks.of_client, ("alice", "bob", "carol"))
    assert alice.learn("up", "m", Quirk("a")) and not alice.learn("up", "m", Quirk("a"))
    assert alice.of("up", "m") == [Quirk("before"), Quirk("a")] and bob.of("up", "m") == [Quirk("before")]
    bob.unlearn("up", "m", [Quirk("a")])  # it is none of bob's
    assert Quirk("a") in alice.of("up", "m")
    assert bob.learn("up", "m", Quirk("a")) and Quirk("a") in carol.of("up", "m")
    bob.unlearn("up", "m", [Quirk("a")])  # it did not help him
    assert Quirk("a") in alice.of("up", "m") and Quirk("a") not in carol.of("up", "m")
    alice.unlearn("up", "m", [Quirk("a"), Quirk("before")])
    assert alice.of("up", "m") == [Quirk("before")]
    assert quirks.several and LearnedQuirks().of_client("alice").learn("up", "m", Quirk("a"))


def test_a_penalty_that_gemini_does_not_take_is_left_out() -> None:
    reply = {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}]}

    def answer(request: Request) -> Answer:
        refused = request.json.get("generationConfig", {}).keys() & {"frequencyPenalty", "presencePenalty"}
        return Answer.json(GOOGLES, 400) if refused else Answer.json(reply)

    ask = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
    with Upstream(answer) as up, House(one_upstream(up.url, "gemini")) as house:
        assert house.post("/v1/chat/completions", ask | {"frequency_penalty": 0, "presence_penalty": 0})[0] == 200
        assert len(up.requests) == 1  # 0 says nothing
        status, _, body = house.post("/v1/chat/completions", ask | {"frequency_penalty": 0.5})
        assert status == 200 and json.loads(body)["choices"][0]["message"]["content"] == "ok"
        assert up.requests[-1].json["generationConfig"] == {"temperature": 0.5} and len(up.requests) == 3
