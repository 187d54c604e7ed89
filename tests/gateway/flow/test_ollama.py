"""Clients that speak nothing but Ollama's own form, in front of each upstream protocol."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.gateway.flow.test_gemini import CALLING, PROTOCOLS, SAYING, answer, house, part, scripted, told
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import house_text, streams
from translate.conversation import Start, Stop, Text, ToolCall

PNG = "iVBORw0KGgo="
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}  # fmt: skip
ASK: dict[str, Any] = {"model": "some/model:latest", "messages": [{"role": "user", "content": "Hi"}]}


def lines(raw: bytes) -> list[Any]:
    assert raw.endswith(b"\n")
    return [json.loads(line) for line in raw.splitlines()]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_chat_streams_unless_it_is_told_not_to(protocol: str) -> None:
    with scripted(protocol, CALLING) as up, house(up, protocol) as here:
        status, headers, raw = here.post("/api/chat", ASK | {"tools": [WEATHER], "think": True})
        assert (status, headers["content-type"]) == (200, "application/x-ndjson")
        *said, last = lines(raw)
        one = json.loads(here.post("/api/chat", ASK | {"tools": [WEATHER], "stream": False})[2])
    assert "".join(each["message"].get("thinking", "") for each in said) == "Hm, the weather."
    assert "".join(each["message"]["content"] for each in said) == "I look ➜ now."
    (call,) = [call for each in said for call in each["message"].get("tool_calls", ())]
    assert call["function"] == {"index": 0, "name": "get_weather", "arguments": {"city": "Köln", "days": 2}}
    assert all(each["done"] is False and each["message"]["role"] == "assistant" for each in said)
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert (last["prompt_eval_count"], last["eval_count"]) == (25, 9)
    assert one["message"] == {"role": "assistant", "content": "I look ➜ now.", "thinking": "Hm, the weather.",
                              "tool_calls": [call]}  # fmt: skip
    assert one["done"] is True and one["eval_count"] == 9
    for each in (last, one):  # clients tell the tokens of a second by them
        parts = each["load_duration"] + each["prompt_eval_duration"] + each["eval_duration"]
        assert each["eval_duration"] > 0 and parts == each["total_duration"] < 60 * 10**9
    assert last["created_at"] == one["created_at"] or last["created_at"][:2] == "20"


@pytest.mark.parametrize("path", ["/api/chat", "/v1beta/models/some/model:streamGenerateContent?alt=sse"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_the_end_of_a_line_is_one_for_readers_who_go_by_unicode(protocol: str, path: str) -> None:
    """httpx splits lines as str.splitlines does, and so does the Ollama library for Python."""
    text = "a\u2028b\u2029c\x85d \u2019\\"
    calling = part(ToolCall("call_1", "get_weather"), json.dumps({"city": text}, ensure_ascii=False))
    events = [Start(model="m"), *part(Text(""), text), *calling, Stop("tool_calls")]
    google = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    with scripted(protocol, events) as up, house(up, protocol) as here:
        raw = here.post(path, ASK | {"tools": [WEATHER]} if path == "/api/chat" else google)[2].decode()
    each = [json.loads(line.removeprefix("data: ")) for line in raw.splitlines() if line]
    assert json.dumps(text)[1:-1] in "".join(map(json.dumps, each))
    assert json.dumps({"city": text}) in "".join(map(json.dumps, each))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_several_calls_are_told_apart(protocol: str) -> None:
    """Open WebUI and LiteLLM put calls of one number together, as parts of one."""
    calls = [event for n in "ab" for event in part(ToolCall(f"call_{n}", "get_weather"), f'{{"city":"{n}"}}')]
    events = [Start(model="m"), *calls, Stop("tool_calls")]
    with scripted(protocol, events) as up, house(up, protocol) as here:
        said = lines(here.post("/api/chat", ASK | {"tools": [WEATHER]})[2])
        one = json.loads(here.post("/api/chat", ASK | {"tools": [WEATHER], "stream": False})[2])
    called = [call["function"] for each in said for call in each["message"].get("tool_calls", ())]
    assert called == [call["function"] for call in one["message"]["tool_calls"]]
    assert [(call["index"], call["arguments"]["city"]) for call in called] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_prompt(protocol: str) -> None:
    ask = {"model": "m", "prompt": "Why?", "system": "Be brief.", "images": [PNG], "options": {"num_predict": 50}}
    with scripted(protocol, SAYING) as up, house(up, protocol) as here:
        *said, last = lines(here.post("/api/generate", ask)[2])
        one = json.loads(here.post("/api/generate", ask | {"stream": False})[2])
        sent = json.dumps(up.requests[1].json)
    assert "".join(each["response"] for each in said) == one["response"] == "It is sunny 😀 there."
    assert last["done"] is True and last["response"] == "" and "message" not in last
    assert "Why?" in sent and "Be brief." in sent and PNG in sent and "image/png" in sent


def test_what_the_request_says_is_said_in_chats_words() -> None:
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?", "images": [PNG]},
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [
            {"function": {"name": "a", "arguments": {"x": 1}}}, {"function": {"name": "b", "arguments": {}}}]},
        {"role": "tool", "tool_name": "b", "content": "of b"},
        {"role": "tool", "content": "of a", "images": [PNG]},
    ]  # fmt: skip
    options = {"temperature": 0.5, "top_k": 7, "num_predict": 99, "stop": ["END"], "num_ctx": 4096, "mirostat": 1}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    ask = {"model": "m:latest", "messages": history, "options": options, "format": schema, "keep_alive": "5m",
           "think": "low", "stream": False}  # fmt: skip
    with scripted("chat", SAYING) as up, house(up, "chat") as here:
        status, headers, _ = here.post("/api/chat", ask)
        assert here.post("/api/chat", ASK | {"format": "json", "stream": False})[0] == 200
    assert status == 200
    assert headers["x-proxy-dropped"] == "options.num_ctx, options.mirostat"
    sent = up.requests[0].json
    assert (sent["model"], sent["max_tokens"], sent["stop"]) == ("m", 99, ["END"]) and "stream" not in sent
    assert (sent["temperature"], sent["top_k"], sent["reasoning_effort"]) == (0.5, 7, "low")
    assert sent["response_format"]["json_schema"]["schema"] == schema
    system, user, assistant, of_b, of_a, shown = sent["messages"]
    assert system["content"] == "Be brief."
    assert user["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PNG}"
    calls = assistant["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"x": 1}, {}]
    assert (of_b["tool_call_id"], of_a["tool_call_id"]) == (calls[1]["id"], calls[0]["id"])
    assert of_a["content"] == "of a\n[image: see the next user message]" and of_b["content"] == "of b"
    assert shown["role"] == "user" and shown["content"][0]["text"] == f"[output of the tool call {calls[0]['id']}]"
    assert shown["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PNG}"
    assert up.requests[1].json["response_format"] == {"type": "json_object"}


def test_a_model_that_can_be_told_not_to_think_is_told() -> None:
    with scripted("chat", SAYING) as up, house(up, "chat") as here:
        for path, said in (("/api/chat", ASK), ("/api/generate", {"prompt": "x"})):
            status, headers, _ = here.post(path, said | {"model": "gpt-5.5", "think": False})
            assert (status, headers.get("x-proxy-dropped")) == (200, None)
            assert up.requests[-1].json["reasoning_effort"] == "none"


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions"])
def test_what_a_chat_server_refuses_is_learned_for_who_spoke_another_form(path: str) -> None:
    """No client has written max_tokens, which OpenAI's models that reason refuse: the proxy has. The other form at
    Chat's own address is Cursor's, of Responses."""

    def picky(request: Request) -> Answer:
        for field in ("top_k", "max_tokens"):
            if field in request.json:
                instead = " Use 'max_completion_tokens' instead." if field == "max_tokens" else ""
                words = f"Unsupported parameter: '{field}' is not supported with this model.{instead}"
                return Answer.json({"error": {"message": words, "type": "invalid_request_error", "param": field}}, 400)
        return answer("chat", SAYING, request)

    asks = {"/api/chat": ASK, "/api/generate": {"model": "some/model", "prompt": "Hi"}}
    options = {"options": {"num_predict": 99, "top_k": 7}, "stream": False}
    ask = asks[path] | options if path in asks else {"model": "some/model", "input": "Hi", "max_output_tokens": 99}
    with Upstream(picky) as up, house(up, "chat") as here:
        first, headers, _ = here.post(path, ask)
        again, _, raw = here.post(path, ask)
        sent = [request.json for request in up.requests]
    assert (first, again) == (200, 200), raw
    assert len(sent) == 4 if path in asks else 3
    assert all(each["max_completion_tokens"] == 99 and "top_k" not in each for each in sent[-2:])
    assert headers.get("x-proxy-dropped", "") == ("top_k" if path in asks else "")


def test_not_to_think_is_no_word_of_chats_and_told() -> None:
    with scripted("chat", SAYING) as up, house(up, "chat") as here:
        status, headers, _ = here.post("/api/chat", ASK | {"think": False})
    assert (status, headers["x-proxy-dropped"]) == (200, "think")
    assert "reasoning_effort" not in up.requests[0].json


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", ["chat", "messages"])
def test_errors_are_ollamas(protocol: str, streamed: bool) -> None:
    with Upstream([Answer.json({"error": {"message": "No such thing."}}, 400)]) as up, house(up, protocol) as here:
        status, _, raw = here.post("/api/chat", ASK | {"stream": streamed})
        assert (status, json.loads(raw)) == (400, {"error": "No such thing."})
        status, _, raw = here.post("/api/chat", {"model": "m"})
        assert status == 400 and "messages" in json.loads(raw)["error"]


@pytest.mark.parametrize("streamed", [{}, {"stream": False}])
def test_a_model_that_is_to_be_loaded_is_there(streamed: dict[str, bool]) -> None:
    """Ollama's own program asks for that before it asks anything else, and gives up where it hears an error."""
    with Upstream([]) as up, House(one_upstream(up.url, "chat")) as here:
        status, headers, raw = here.post("/api/generate", {"model": "m", "keep_alive": "5m"} | streamed)
        said = json.loads(raw)
        assert (status, said["model"], said["response"]) == (200, "m", "") and headers["x-request-id"]
        assert (said["done"], said["done_reason"]) == (True, "load")
        gone = json.loads(here.post("/api/generate", {"model": "m", "prompt": "", "keep_alive": 0} | streamed)[2])
        assert gone["done_reason"] == "unload"
        of_chat = json.loads(here.post("/api/chat", {"model": "m", "messages": []} | streamed)[2])
        assert of_chat["message"] == {"role": "assistant", "content": ""} and of_chat["done_reason"] == "load"
    assert not up.requests


def test_errors_are_ollamas_where_nothing_is_served_too() -> None:
    """Ollama's own program takes an error for a text, and shows nothing but its own complaint where it is none."""
    settings = one_upstream("http://127.0.0.1:9", "chat") + "\n[client me]\nkey = sk-mine-0123456789\n"
    asked = [("POST", "/api/push", 404), ("POST", "/api/pull", 404), ("GET", "/api/chat", 405),
             ("GET", "/api/tags", 401), ("DELETE", "/api/tags", 401)]  # fmt: skip
    with House(settings) as here:
        for method, path, expected in asked:
            status, _, raw = here.request(method, path, {"model": "m"} if method == "POST" else None)
            assert (status, type(json.loads(raw)["error"])) == (expected, str), path


def test_a_stream_that_breaks_ends_with_an_error() -> None:
    def cut(request: Any) -> Answer:
        whole = answer("chat", told(part(Text(""), "half of it")), request)
        assert isinstance(whole.body, list)
        return Answer.sse([b"".join(whole.body).partition(b'"finish_reason":"stop"')[0].rpartition(b"data:")[0]])

    with Upstream(cut) as up, house(up, "chat") as here:
        *said, last = lines(here.post("/api/chat", ASK)[2])
    assert "".join(each["message"]["content"] for each in said) == "half of it" and list(last) == ["error"]


def test_models_are_listed_and_shown() -> None:
    listed = {"data": [{"id": "llama3:8b", "context_length": 8192}, {"id": "other"}]}
    settings = "\n[client me]\nkey = sk-mine-0123456789\n"
    key = {"authorization": "Bearer sk-mine-0123456789"}
    with Upstream([Answer.json(listed)]) as up, House(one_upstream(up.url, "chat") + settings) as here:
        assert here.request("GET", "/api/tags", None)[0] == 401
        tags = json.loads(here.request("GET", "/api/tags", None, key)[2])["models"]
        assert [model["name"] for model in tags] == ["llama3:8b", "other"]
        assert len(tags[0]["digest"]) == 64
        version = json.loads(here.request("GET", "/api/version", None)[2])["version"]
        assert tuple(map(int, version.split("."))) >= (0, 6, 4)
        assert json.loads(here.request("GET", "/api/ps", None, key)[2]) == {"models": []}
        status, _, raw = here.post("/api/show", {"model": "llama3:8b"}, key)
        shown = json.loads(raw)
        assert status == 200 and "tools" in shown["capabilities"]
        assert shown["model_info"]["up.context_length"] == 8192
        assert here.post("/api/show", {"model": "other:latest"}, key)[0] == 200
        assert here.post("/api/show", {}, key)[0] == 400
        assert here.post("/api/show", {"model": "x"})[0] == 401
        assert here.post("/api/show", {"model": "x" * 70_000}, key)[0] == 413
        packed = gzip.compress(json.dumps({"model": "llama3:8b"}).encode())
        assert here.post("/api/show", packed, key | {"Content-Encoding": "gzip"})[2] == raw
        assert here.post("/api/show", packed, key | {"Content-Encoding": "br"})[0] == 415
        assert here.post("/api/show", gzip.compress(b" " * 70_000), key | {"Content-Encoding": "gzip"})[0] == 413


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_client_hears_that_a_model_is_at_work_before_its_first_word(path: str) -> None:
    begun, *rest = streams("1")
    gate = Gate()
    with Upstream(lambda request: Answer.sse([begun, gate, *rest])) as up:
        with House(house_text("* = a", "[server]\nping_seconds = 0.1\n", a=up.url)) as here, here.connect() as client:
            client.send("POST", path, ASK | {"prompt": "Hi"})
            here.wait(lambda p: any(flow.writer.written for flow in p.service.flows))
            gate.open()
            status, _, raw = client.reply()
    first, *said = lines(raw)
    assert status == 200 and (first["model"], first["done"]) == ("some/model", False)
    assert "".join(each["message"]["content"] if "message" in each else each["response"] for each in said) == "1"
    assert first.get("response", first.get("message", {}).get("content")) == ""
