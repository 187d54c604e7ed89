"""Turns that take several requests: the proxy searches for tools, or a provider pauses; the client sees one reply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.grammar import check_chat, check_messages, check_responses
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Upstream

Json = dict[str, Any]

COUNT = 25
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ABOUTS = {3: "Tells the weather of a city.", 7: "Sends a mail."}
SEARCH = "tool_search_tool_bm25"
LATER = [
    {"name": f"tool_{i}", "description": ABOUTS.get(i, "Does something else."), "input_schema": SCHEMA,
     "defer_loading": True}
    for i in range(COUNT)
]  # fmt: skip
MESSAGES: Json = {
    "model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "weather in Paris?"}],
    "tools": [{"type": "tool_search_tool_bm25_20251119", "name": SEARCH}, *LATER],
}  # fmt: skip
RESPONSES: Json = {
    "model": "m", "input": "weather in Paris?",
    "tools": [{"type": "tool_search"}, *(
        {"type": "function", "name": tool["name"], "description": tool["description"], "parameters": SCHEMA,
         "defer_loading": True} for tool in LATER
    )],
}  # fmt: skip
CHAT: Json = {"model": "claude", "messages": [{"role": "user", "content": "search"}], "web_search_options": {}}


# ---------------------------------------------------------------------------------------- an upstream's replies


def chat(*calls: tuple[str, Json], text: str = "", stream: bool = False, finish: str = "", n: int = 0) -> Answer:
    made = [
        {"index": i, "id": f"call_{n}{i}", "type": "function", "function": {"name": name, "arguments": given}}
        for i, (name, given) in enumerate((name, json.dumps(given)) for name, given in calls)
    ]
    finish = finish or ("tool_calls" if calls else "stop")
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    if not stream:
        message = {"role": "assistant", "content": text or None} | ({"tool_calls": made} if made else {})
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return Answer.json({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})
    deltas: list[Json] = [{"role": "assistant", "content": text}, *({"tool_calls": [call]} for call in made)]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}, {"choices": [], "usage": usage}]
    return Answer.sse([*(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks), b"data: [DONE]\n\n"])


def messages(*content: Json, stop: str = "end_turn", stream: bool = False) -> Answer:
    usage = {"input_tokens": 10, "output_tokens": 3}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": list(content),
             "stop_reason": stop, "stop_sequence": None, "usage": usage}  # fmt: skip
    if not stream:
        return Answer.json(whole)
    events: list[Json] = [{"type": "message_start", "message": whole | {"content": [], "stop_reason": None}}]
    for i, block in enumerate(content):
        begun = block | ({"text": ""} if block["type"] == "text" else {"input": {}} if "input" in block else {})
        events.append({"type": "content_block_start", "index": i, "content_block": begun})
        if block["type"] == "text":
            delta = {"type": "text_delta", "text": block["text"]}
            events.append({"type": "content_block_delta", "index": i, "delta": delta})
        elif "input" in block:
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            events.append({"type": "content_block_delta", "index": i, "delta": delta})
        events.append({"type": "content_block_stop", "index": i})
    end = {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage}
    events += [end, {"type": "message_stop"}]
    return Answer.sse([f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events])


SEARCHED: Json = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
TEXT: Json = {"type": "text", "text": "Here it is."}


def web_result() -> Json:
    page = {"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "x"}
    return {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [page]}


# ------------------------------------------------------------------------------------------ what a client gets


def told(raw: bytes) -> list[Json]:
    lines = (line for event in raw.split(b"\n\n") for line in event.split(b"\n") if line.startswith(b"data: {"))
    return [json.loads(line[6:]) for line in lines]


def message_of(raw: bytes, stream: bool) -> Json:
    """A Messages reply, whole: a stream has one beginning and one end, and its blocks are numbered through."""
    if not stream:
        whole: Json = json.loads(raw)
        return whole
    check_messages(raw)
    content: list[Json] = []
    texts: dict[int, str] = {}
    said: Json = {}
    for event in told(raw):
        match event["type"]:
            case "message_start":
                assert not said
                said = event["message"]
            case "content_block_start":
                assert event["index"] == len(content)
                content.append(event["content_block"])
            case "content_block_delta":
                delta = event["delta"]
                more = delta.get("text") or delta.get("partial_json") or ""
                texts[event["index"]] = texts.get(event["index"], "") + more
            case "message_delta":
                said |= event["delta"] | {"usage": event["usage"]}
    for i, text in texts.items():
        content[i] |= {"text": text} if content[i]["type"] == "text" else {"input": json.loads(text)}
    return said | {"content": content}


def response_of(raw: bytes, stream: bool) -> Json:
    if not stream:
        whole: Json = json.loads(raw)
        return whole
    check_responses(raw)
    events = told(raw)
    assert [event["type"] for event in events].count("response.created") == 1
    last: Json = events[-1]["response"]
    return last


def names(body: Json) -> list[str]:
    return [tool.get("name") or tool.get("function", {}).get("name") for tool in body["tools"]]


STREAM = pytest.mark.parametrize("stream", [False, True])


@STREAM
def test_the_proxy_searches_and_the_turn_goes_on(stream: bool, tmp_path: Path) -> None:
    rounds = [
        chat((SEARCH, {"query": "weather"}), text="I look.", stream=stream),
        chat(("tool_3", {"city": "Paris"}), stream=stream, n=1),
    ]
    with Upstream(rounds) as up, House(one_upstream(up.url, "chat"), folder=tmp_path) as house:
        status, headers, raw = house.post("/v1/messages", MESSAGES | {"stream": stream})
        sent = [request.json for request in up.requests]
    assert status == 200 and "x-proxy-dropped" not in headers
    reply = message_of(raw, stream)
    kinds = [block["type"] for block in reply["content"]]
    assert kinds == ["text", "server_tool_use", "tool_search_tool_result", "tool_use"]
    _, call, result, use = reply["content"]
    assert call["name"] == SEARCH and call["input"] == {"query": "weather"} and call["id"].startswith("srvtoolu_")
    assert result["tool_use_id"] == call["id"]
    references = [{"type": "tool_reference", "tool_name": "tool_3"}]
    assert result["content"] == {"type": "tool_search_tool_search_result", "tool_references": references}
    assert (use["name"], use["input"]) == ("tool_3", {"city": "Paris"}) and reply["stop_reason"] == "tool_use"
    assert (reply["usage"]["input_tokens"], reply["usage"]["output_tokens"]) == (20, 6)
    assert [names(body) for body in sent] == [[SEARCH], [SEARCH, "tool_3"]]
    _, said, answer = sent[1]["messages"]
    assert said["content"] == "I look." and said["tool_calls"][0]["function"]["name"] == SEARCH
    assert answer == {"role": "tool", "tool_call_id": call["id"], "content": "Tools now available: tool_3."}
    (record,) = map(json.loads, (tmp_path / "performance.json").read_text().splitlines())
    assert (record["attempts"], record["continuations"]) == (1, 1)
    assert (record["gen_ai.usage.input_tokens"], record["gen_ai.usage.output_tokens"]) == (20, 6)


@STREAM
@pytest.mark.parametrize("upstream", ["chat", "messages"])
def test_a_responses_client_sees_the_search_as_items(upstream: str, stream: bool) -> None:
    if upstream == "chat":
        rounds = [chat(("tool_search", {"query": "mail"}), stream=stream), chat(text="Done.", stream=stream)]
    else:
        use = {"type": "tool_use", "id": "toolu_1", "name": "tool_search", "input": {"query": "mail"}}
        rounds = [messages(use, stop="tool_use", stream=stream), messages(TEXT, stream=stream)]
    with Upstream(rounds) as up, House(one_upstream(up.url, upstream)) as house:
        status, _, raw = house.post("/v1/responses", RESPONSES | {"stream": stream})
        sent = [request.json for request in up.requests]
    assert status == 200
    reply = response_of(raw, stream)
    call, output, said = reply["output"]
    assert (call["type"], call["execution"], call["arguments"]) == ("tool_search_call", "server", {"query": "mail"})
    assert output["type"] == "tool_search_output" and output["call_id"] is None and output["id"] != call["id"]
    assert [tool["name"] for tool in output["tools"]] == ["tool_7"] and output["tools"][0]["parameters"] == SCHEMA
    assert said["type"] == "message" and reply["status"] == "completed"
    assert (reply["usage"]["input_tokens"], reply["usage"]["output_tokens"]) == (20, 6)
    assert names(sent[0]) == ["tool_search"] and names(sent[1]) == ["tool_search", "tool_7"]


@STREAM
@pytest.mark.parametrize("client", ["chat", "responses"])
def test_a_paused_turn_goes_on(client: str, stream: bool) -> None:
    first = messages(TEXT | {"text": "Let me see. "}, SEARCHED, stop="pause_turn", stream=stream)
    rounds = [first, messages(web_result(), TEXT, stream=stream)]
    path, ask = ("/v1/chat/completions", CHAT) if client == "chat" else ("/v1/responses", RESPONSES | {
        "model": "claude", "tools": [{"type": "web_search"}],
    })  # fmt: skip
    with Upstream(rounds) as up:
        with House(one_upstream(up.url, "messages")) as house:
            status, _, raw = house.post(path, ask | {"stream": stream})
            sent = [request.json for request in up.requests]
    assert status == 200 and len(sent) == 2
    assert sent[1]["messages"] == [*sent[0]["messages"], {"role": "assistant", "content": [
        TEXT | {"text": "Let me see. "}, SEARCHED,
    ]}]  # fmt: skip
    if client == "responses":
        reply = response_of(raw, stream)
        assert [item["type"] for item in reply["output"]] == ["message", "web_search_call", "message"]
        assert reply["status"] == "completed" and reply["usage"]["output_tokens"] == 6
    elif stream:
        check_chat(raw)
        text = "".join(event["choices"][0]["delta"].get("content", "") for event in told(raw) if event["choices"])
        assert text == "Let me see. \n\nHere it is." and raw.count(b'"finish_reason":"stop"') == 1
    else:
        choice = json.loads(raw)["choices"][0]
        assert choice["message"]["content"] == "Let me see. \n\nHere it is." and choice["finish_reason"] == "stop"


def test_of_a_messages_client_a_pause_is_its_own() -> None:
    answer = messages(SEARCHED, stop="pause_turn")
    with Upstream([answer]) as up, House(one_upstream(up.url, "messages")) as house:
        tools = [{"type": "web_search_20250305", "name": "web_search"}]
        _, _, raw = house.post("/v1/messages", MESSAGES | {"tools": tools})
        assert raw == answer.body and len(up.requests) == 1


@STREAM
def test_calls_of_the_clients_own_end_the_reply(stream: bool) -> None:
    """The search is answered all the same, and brought back in the history."""
    mixed = chat((SEARCH, {"query": "weather"}), ("now", {}), stream=stream)
    ask = MESSAGES | {"tools": [*MESSAGES["tools"], {"name": "now", "input_schema": {"type": "object"}}]}
    with Upstream([mixed, chat(text="ok", stream=stream)]) as up, House(one_upstream(up.url, "chat")) as house:
        _, _, raw = house.post("/v1/messages", ask | {"stream": stream})
        assert len(up.requests) == 1
        reply = message_of(raw, stream)
        assert reply["stop_reason"] == "tool_use"
        assert [block["type"] for block in reply["content"]] == [
            "server_tool_use", "tool_search_tool_result", "tool_use",
        ]  # fmt: skip
        result = {"type": "tool_result", "tool_use_id": reply["content"][-1]["id"], "content": "noon"}
        more = [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": [result]}]
        house.post("/v1/messages", ask | {"stream": stream, "messages": [*ask["messages"], *more]})
        body = up.requests[1].json
    assert names(body) == [SEARCH, "tool_3", "now"]
    roles = [(message["role"], message.get("content")) for message in body["messages"][1:]]
    assert roles == [
        ("assistant", None), ("tool", "Tools now available: tool_3."), ("assistant", None), ("tool", "noon"),
    ]  # fmt: skip


@STREAM
@pytest.mark.parametrize("client", ["messages", "chat"])
def test_the_bound(client: str, stream: bool) -> None:
    more = "[translate]\nmax_continuations = 2\n"
    if client == "messages":
        with Upstream([chat((SEARCH, {"query": "mail"}), stream=stream)]) as up:
            with House(one_upstream(up.url, "chat") + more) as house:
                _, _, raw = house.post("/v1/messages", MESSAGES | {"stream": stream})
                assert len(up.requests) == 3
        reply = message_of(raw, stream)
        assert reply["stop_reason"] == "pause_turn" and reply["usage"]["output_tokens"] == 9
        ids = [block["id"] for block in reply["content"] if "id" in block]
        assert len(ids) == len(set(ids)) == 3
        return
    with Upstream([messages(SEARCHED, stop="pause_turn", stream=stream)]) as up:
        with House(one_upstream(up.url, "messages") + more) as house:
            _, _, raw = house.post("/v1/chat/completions", CHAT | {"stream": stream})
            assert len(up.requests) == 3 and b'"finish_reason":"length"' in raw


@STREAM
@pytest.mark.parametrize(
    ("second", "status"),
    [
        (Answer.json({"error": {"message": "no more", "type": "server_error"}}, 500), 500),
        (Answer.json({"error": {"message": "what is that", "type": "invalid_request_error"}}, 400), 400),
        (Answer.sse([b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'], end="close"), 502),
        (Answer.json({"nonsense": 1}), 502),
        (Answer.drop(), 502),
    ],
)
def test_a_later_request_that_fails_ends_the_reply_with_an_error(stream: bool, second: Answer, status: int) -> None:
    first = chat((SEARCH, {"query": "weather"}), text="I look.", stream=stream)
    with Upstream([first, second]) as up, House(one_upstream(up.url, "chat") + "[retry]\nmax_attempts = 1\n") as house:
        got, _, raw = house.post("/v1/messages", MESSAGES | {"stream": stream})
    if not stream:
        assert got == status and json.loads(raw)["type"] == "error"
        return
    check_messages(raw)
    events = told(raw)
    assert got == 200 and events[-1]["type"] == "error"
    assert "message_stop" not in [event["type"] for event in events]


@STREAM
def test_what_was_not_worked_on_is_sent_once_more(stream: bool) -> None:
    first = chat((SEARCH, {"query": "weather"}), text="I look.", stream=stream)
    busy = Answer.json({"error": {"message": "busy"}}, 503, headers={"Retry-After": "0"})
    settings = "[retry]\nbackoff = 0.01\n"
    with Upstream([first, busy, chat(text="Done.", stream=stream)]) as up:
        with House(one_upstream(up.url, "chat") + settings) as house:
            status, _, raw = house.post("/v1/messages", MESSAGES | {"stream": stream})
            assert status == 200 and len(up.requests) == 3
            assert up.requests[1].body == up.requests[2].body
    assert message_of(raw, stream)["content"][-1] == {"type": "text", "text": "Done."}


def test_a_client_that_leaves_takes_the_later_request_with_it() -> None:
    gate = Gate()
    slow = Answer.sse([b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', gate])
    with Upstream([chat((SEARCH, {"query": "mail"}), stream=True), slow]) as up:
        with House(one_upstream(up.url, "chat")) as house:
            with house.connect() as client:
                client.send("POST", "/v1/messages", MESSAGES | {"stream": True})
                client.head()
                pieces = client.pieces()
                while b'"text":"a"' not in next(pieces):
                    pass
            up.wait(lambda up: up.requests[1].state == "gone")
            house.wait(lambda proxy: not proxy.service.flows)
            assert house.on_loop(lambda: [gate.busy for gate in gates(house)]) == [0]
        gate.open()


def gates(house: House) -> list[Any]:
    return [upstream.gate for upstream in house.proxy.service.router.upstreams.values()]


def test_a_server_that_leaves_its_stream_open_holds_nothing_up() -> None:
    first = chat((SEARCH, {"query": "mail"}), stream=True)
    first.end = "hang"
    with Upstream([first, chat(text="Done.", stream=True)]) as up, House(one_upstream(up.url, "chat")) as house:
        _, _, raw = house.post("/v1/messages", MESSAGES | {"stream": True})
    assert message_of(raw, True)["stop_reason"] == "end_turn"


@STREAM
def test_each_request_counts_against_the_quotas(stream: bool) -> None:
    rounds = [chat((SEARCH, {"query": "mail"}), stream=stream), chat(text="Done.", stream=stream)]
    settings = "[client c]\nkey = client-key-of-nobody\nrequests_per_minute = 2\n"
    with Upstream(rounds) as up, House(one_upstream(up.url, "chat") + settings) as house:
        key = {"x-api-key": "client-key-of-nobody"}
        assert house.post("/v1/messages", MESSAGES | {"stream": stream}, key)[0] == 200
        assert len(up.requests) == 2
        assert house.post("/v1/messages", MESSAGES | {"stream": stream}, key)[0] == 429


def test_an_upstream_whose_quota_is_used_up_in_mid_turn() -> None:
    rounds = [chat((SEARCH, {"query": "mail"})), chat(text="Done.")]
    with Upstream(rounds) as up:
        with House(one_upstream(up.url, "chat", "requests_per_minute = 1") + "[retry]\nmax_retry_after = 0\n") as house:
            status, _, raw = house.post("/v1/messages", MESSAGES)
            assert status == 429 and b"in the middle of a turn" in raw and len(up.requests) == 1


def test_a_stream_for_which_the_upstream_answers_whole() -> None:
    with Upstream([chat((SEARCH, {"query": "mail"})), chat(text="Done.")]) as up:
        with House(one_upstream(up.url, "chat")) as house:
            _, _, raw = house.post("/v1/messages", MESSAGES | {"stream": True})
    assert [block["type"] for block in message_of(raw, True)["content"]][-1] == "text"


def test_a_stored_response_holds_all_of_the_turn() -> None:
    rounds = [chat(("tool_search", {"query": "mail"})), chat(("tool_7", {"city": "x"}), n=1), chat(text="ok")]
    with Upstream(rounds) as up, House(one_upstream(up.url, "chat")) as house:
        reply = json.loads(house.post("/v1/responses", RESPONSES)[2])
        output = {"type": "function_call_output", "call_id": reply["output"][-1]["call_id"], "output": "sent"}
        house.post("/v1/responses", RESPONSES | {"input": [output], "previous_response_id": reply["id"]})
        body = up.requests[2].json
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "assistant", "tool"]
    assert names(body) == ["tool_search", "tool_7"]
