"""Google's own SDK in front of each upstream protocol, through the whole proxy: the strictest client there is."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types

from gateway.passing.passthrough import Passthrough
from tests.support import sdk_gemini
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream
from tests.support.sdk_gemini import QUIET, WEATHER
from translate import dialects
from translate.conversation import (
    Citation,
    Close,
    Delta,
    Event,
    Open,
    Start,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from translate.json import wire
from translate.target import Asked, Policy

PROTOCOLS = tuple(dialects.names())
SIGNED = "c2lnbmVk"
GOOGLES = {"google": {"thought_signature": SIGNED}}


def part(of: Any, text: str, **close: Any) -> list[Event]:
    half = len(text) // 2
    return [Open(of), *(Delta([wire.inside(each)]) for each in (text[:half], text[half:]) if each), Close(**close)]


def told(*parts: list[Event], reason: StopReason = "end") -> list[Event]:
    usage = Usage(input=20, cache_read=5, output=9, reasoning=4)
    return [Start(usage=usage), *(event for each in parts for event in each), Stop(reason, usage)]


CALLING = told(
    part(Thinking(), "Hm, the weather.", signature="proof"),
    part(Text(""), "I look ➜ now."),
    part(ToolCall("call_1", "get_weather"), '{"city":"Köln","days":2}'),
    reason="tool_calls",
)
SAYING = told(part(Text(""), "It is sunny 😀 there."))


def answer(protocol: str, events: list[Event], request: Request) -> Answer:
    """A reply in the upstream's protocol, streamed where the request wants it so."""
    dialect = dialects.of(protocol)
    asked = Asked("up", "k1", include_usage=True, echo={"includeThoughts": True} if protocol == "gemini" else {})
    if request.method == "GET":
        return Answer.json({"data": []})
    if request.json.get("stream") or "streamGenerateContent" in request.path:
        raw = dialect.encoder(asked).emit(events)
        return Answer.sse([raw[:100], raw[100:]])
    return Answer.json(dialect.collect(events, asked))


def scripted(protocol: str, *replies: list[Event]) -> Upstream:
    left = list(replies)
    return Upstream(lambda request: answer(protocol, left.pop(0) if len(left) > 1 else left[0], request))


def house(up: Upstream, protocol: str, more: str = "") -> House:
    return House(one_upstream(up.url, protocol, f"api_key = sk-up-0123456789abcdef\n{more}"))


def config(**more: Any) -> types.GenerateContentConfig:
    thoughts = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
    return types.GenerateContentConfig(
        system_instruction="Be brief.", temperature=1, max_output_tokens=5000, tools=[WEATHER],
        thinking_config=thoughts, automatic_function_calling=QUIET, **more,
    )  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_whole_reply(protocol: str) -> None:
    with scripted(protocol, CALLING) as up, house(up, protocol) as here, sdk_gemini.client(here.url) as sdk:
        reply = sdk.models.generate_content(model="up/some/model:1", contents="Hi", config=config())
    parts = reply.candidates[0].content.parts
    assert [(each.text, each.thought) for each in parts[:2]] == [("Hm, the weather.", True), ("I look ➜ now.", None)]
    call = parts[2].function_call
    assert (call.name, call.args) == ("get_weather", {"city": "Köln", "days": 2}) and call.id
    assert parts[2].thought_signature
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    used = reply.usage_metadata
    assert (used.prompt_token_count, used.candidates_token_count, used.thoughts_token_count) == (25, 5, 4)
    assert (used.cached_content_token_count, used.total_token_count) == (5, 34)
    assert reply.model_version == "up/some/model:1"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream(protocol: str) -> None:
    with scripted(protocol, CALLING) as up, house(up, protocol) as here, sdk_gemini.client(here.url) as sdk:
        chunks = list(sdk.models.generate_content_stream(model="m", contents="Hi", config=config()))
    parts = [each for chunk in chunks for each in chunk.candidates[0].content.parts]
    assert "".join(each.text for each in parts if each.thought and each.text) == "Hm, the weather."
    assert "".join(each.text for each in parts if not each.thought and each.text) == "I look ➜ now."
    assert len([each for each in parts if each.text]) >= 4, "it comes as it was said"
    assert [each.function_call.args for each in parts if each.function_call] == [{"city": "Köln", "days": 2}]
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.total_token_count == 34


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_chat_with_a_tool_and_what_the_provider_has_signed(protocol: str, streamed: bool) -> None:
    """The upstream gets its own proof back, in its own field, whatever the client was shown."""
    with scripted(protocol, CALLING, SAYING) as up, house(up, protocol) as here, sdk_gemini.client(here.url) as sdk:
        chat = sdk.chats.create(model="m", config=config())
        said = types.Part.from_function_response(name="get_weather", response={"result": "sunny"})
        if streamed:
            assert list(chat.send_message_stream("Weather in Köln?"))
            text = "".join(chunk.text or "" for chunk in chat.send_message_stream(said))
        else:
            assert chat.send_message("Weather in Köln?").function_calls
            text = chat.send_message(said).text
        assert text == "It is sunny 😀 there."
        sent = up.requests[1].json
    raw = json.dumps(sent, ensure_ascii=False)
    assert "sunny" in raw and "Köln" in raw
    assert "I look ➜ now." in raw or protocol == "gemini"  # where it goes as it came, in pieces
    if protocol == "messages":
        assistant = sent["messages"][1]["content"]
        assert [block["type"] for block in assistant] == ["thinking", "text", "tool_use"]
        assert assistant[0] == {"type": "thinking", "thinking": "Hm, the weather.", "signature": "proof"}
        assert sent["messages"][2]["content"][0]["tool_use_id"] == assistant[2]["id"]
    elif protocol == "gemini":
        assert "~sealed" not in raw and dialects.of(protocol).seal_mark.decode() not in raw


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_reply_by_a_schema(protocol: str) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    with scripted(protocol, told(part(Text(""), '{"city": "Köln"}'))) as up:
        with house(up, protocol) as here, sdk_gemini.client(here.url) as sdk:
            for more in ({"response_json_schema": schema}, {"response_schema": types.Schema.model_validate(
                {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]})}):  # fmt: skip
                wanted = types.GenerateContentConfig(response_mime_type="application/json", **more)
                reply = sdk.models.generate_content(model="m", contents="Where?", config=wanted)
                assert reply.parsed == {"city": "Köln"}
    for request in up.requests:
        assert '"city"' in json.dumps(request.json)


def test_tokens_are_counted_and_models_listed() -> None:
    with scripted("messages", SAYING) as up, house(up, "messages") as here, sdk_gemini.client(here.url) as sdk:
        few = sdk.models.count_tokens(model="m", contents="Hi").total_tokens
        many = sdk.models.count_tokens(model="m", contents="Hi there, how are you? " * 100).total_tokens
        assert 0 < few < 30 and 300 < many < 1500
        assert isinstance(list(sdk.models.list()), list)
        found = sdk.models.get(model="up/some-model")
        assert found.name == "models/up/some-model" and "generateContent" in found.supported_actions
        for path in ("/v1beta/models/m:generateContent", "/v1/models/m:countTokens"):
            status, headers, _ = here.request("GET", path, None)
            assert (status, headers["allow"]) == (405, "POST")


def test_models_of_a_gemini_upstream_are_listed_by_their_plain_names() -> None:
    listed = {"models": [
        {"name": "models/gemini-9", "displayName": "Gemini 9", "inputTokenLimit": 9000,
         "supportedGenerationMethods": ["generateContent"]},
        {"name": "models/embedder", "supportedGenerationMethods": ["embedContent"]},
    ]}  # fmt: skip
    with Upstream([Answer.json(listed)]) as up, house(up, "gemini") as here, sdk_gemini.client(here.url) as sdk:
        (model,) = sdk.models.list()
        assert (model.name, model.display_name) == ("models/gemini-9", "Gemini 9")
        assert model.input_token_limit == 9000
        body = json.loads(here.request("GET", "/v1/models", None)[2])
    assert [each["id"] for each in body["data"]] == ["gemini-9"]
    assert up.requests[0].headers["x-goog-api-key"] == "sk-up-0123456789abcdef"


@pytest.mark.parametrize("streamed", [False, True])
def test_the_same_protocol_is_the_same_bytes(streamed: bool) -> None:
    asked = Asked("gemini-9", "k1", echo={"includeThoughts": True})
    raw = dialects.of("gemini").encoder(asked).emit(CALLING)
    whole = wire.dumps(dialects.of("gemini").collect(CALLING, asked))
    body = b'{ "contents" : [{"parts":[{"text":"Hi \\u00e4"}]}],  "model_armor" : 1 }'
    reply = Answer.sse([raw]) if streamed else Answer(headers={"Content-Type": "application/json"}, body=whole)
    verb = "streamGenerateContent?alt=sse" if streamed else "generateContent"
    with Upstream([reply]) as up, house(up, "gemini") as here:
        status, _, got = here.request("POST", f"/v1beta/models/gemini-9:{verb}", body, {"x-goog-api-key": "mine"})
    assert status == 200 and got == (raw if streamed else whole)
    assert up.requests[0].body == body
    assert up.requests[0].path == f"/v1/models/gemini-9:{verb}"
    assert up.requests[0].headers["x-goog-api-key"] == "sk-up-0123456789abcdef"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_without_sse_is_an_array(protocol: str) -> None:
    with scripted(protocol, CALLING) as up, house(up, protocol) as here:
        status, headers, raw = here.post(
            "/v1beta/models/m:streamGenerateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}
        )
    assert status == 200 and headers["content-type"] == "application/json"
    events = json.loads(raw)
    assert isinstance(events, list) and len(events) > 2
    assert all(sdk_gemini.problems(event) == [] for event in events)
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"
    said = [each.get("text", "") for event in events for each in event["candidates"][0]["content"]["parts"]
            if not each.get("thought")]  # fmt: skip
    assert "".join(said) == "I look ➜ now."


def test_a_key_in_the_query_is_a_key_and_goes_no_further() -> None:
    settings = one_upstream("http://127.0.0.1:9", "gemini", "api_key = up") + "[client me]\nkey = sk-mine-0123456789\n"
    with scripted("gemini", SAYING) as up:
        with House(settings.replace("http://127.0.0.1:9", up.url)) as here:
            body = {"contents": [{"parts": [{"text": "Hi"}]}]}
            at = "/v1beta/models/m:streamGenerateContent"
            assert here.post(f"{at}?alt=sse&key=sk-mine-0123456789", body)[0] == 200
            assert here.post(f"{at}?key=wrong", body)[0] == 401
            assert here.post(at, body)[0] == 401
            assert here.request("GET", "/v1beta/models?key=sk-mine-0123456789", None)[0] == 200
            assert here.request("GET", "/v1beta/models", None)[0] == 401
            status, _, raw = here.request("GET", "/v1/models?key=sk-mine-0123456789", None)
            assert status == 200 and "models" in json.loads(raw)
            ask = ASKS["chat"] | {"model": "m"}
            assert here.post("/v1/chat/completions?key=sk-mine-0123456789", ask)[0] == 401  # nobody says it there
    assert [request.path for request in up.requests if request.method == "POST"] == [
        "/v1/models/m:streamGenerateContent?alt=sse"
    ]
    assert not any("sk-mine" in str(request.headers) for request in up.requests)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors_are_googles(protocol: str, streamed: bool) -> None:
    said = {"message": "Slow down.", "type": "rate_limit_error", "code": 429, "status": "RESOURCE_EXHAUSTED"}
    answer = Answer.json({"error": said}, 429, headers={"retry-after": "70"})
    with Upstream([answer]) as up, house(up, protocol) as here, sdk_gemini.client(here.url) as sdk:
        with pytest.raises(google_errors.ClientError) as raised:
            if streamed:
                list(sdk.models.generate_content_stream(model="m", contents="Hi"))
            else:
                sdk.models.generate_content(model="m", contents="Hi")
    assert (raised.value.code, raised.value.status, raised.value.message) == (429, "RESOURCE_EXHAUSTED", "Slow down.")
    if protocol != "gemini":
        details = raised.value.details["error"]["details"]
        assert {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "70s"} in details


def test_googles_wait_is_heard_and_told_in_other_words() -> None:
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41.5s"}
    message = "Quota exceeded, please retry in 41.5s."
    error = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": [wait]}
    with Upstream([Answer.json({"error": error}, 429)]) as up, house(up, "gemini") as here:
        ask = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
        status, headers, raw = here.post("/v1/messages", ask)
    assert (status, headers["retry-after"]) == (429, "42")
    assert json.loads(raw)["error"]["type"] == "rate_limit_error"
    assert len(up.requests) == 1


def test_a_refused_key_of_googles_rests() -> None:
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}  # fmt: skip
    with Upstream([Answer.json({"error": error}, 400)]) as up, house(up, "gemini") as here:
        status, _, raw = here.post("/v1/chat/completions", ASKS["chat"] | {"model": "m"})
    assert status == 401 and json.loads(raw)["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_breaks_is_an_error_for_the_sdk(protocol: str) -> None:
    asked = Asked("m", "k1", include_usage=True, echo={"includeThoughts": True} if protocol == "gemini" else {})
    raw = dialects.of(protocol).encoder(asked).emit(CALLING[:-4])
    with Upstream([Answer.sse([raw])]) as up, house(up, protocol, "") as here, sdk_gemini.client(here.url) as sdk:
        with pytest.raises(google_errors.APIError) as raised:
            list(sdk.models.generate_content_stream(model="m", contents="Hi", config=config()))
    assert raised.value.code == 502


@pytest.mark.parametrize("client", ["messages", "chat", "responses"])
@pytest.mark.parametrize("streamed", [False, True])
def test_googles_signature_survives_a_client_of_another_protocol(client: str, streamed: bool) -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": SIGNED}
    first = {"candidates": [{"content": {"role": "model", "parts": [call]}, "finishReason": "STOP", "index": 0}],
             "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}}  # fmt: skip
    second = {"candidates": [{"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"}]}
    replies = [Answer.sse([b"data: " + wire.dumps(each) + b"\r\n\r\n"]) if streamed else Answer.json(each)
               for each in (first, second)]  # fmt: skip
    with Upstream(replies) as up, house(up, "gemini") as here:
        dialect = dialects.of(client)
        ask = ASKS[client] | {"stream": streamed, "model": "gemini-3-pro"}
        status, _, raw = here.post(dialect.endpoints[0].path, ask)
        assert status == 200
        history = HISTORIES[client](dialect, raw, streamed)
        assert here.post(dialect.endpoints[0].path, ask | history)[0] == 200
    (model,) = [each for each in up.requests[1].json["contents"] if each["role"] == "model"]
    (sent,) = model["parts"]
    assert sent["thoughtSignature"] == SIGNED and sent["functionCall"]["args"] == {"a": 1}


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ASKS: dict[str, Any] = {
    "messages": {"max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}],
                 "tools": [{"name": "f", "input_schema": SCHEMA}]},
    "chat": {"messages": [{"role": "user", "content": "Hi"}],
             "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]},
    "responses": {"input": [{"role": "user", "content": "Hi"}],
                  "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]},
}  # fmt: skip


def whole(dialect: Any, raw: bytes, streamed: bool) -> Any:
    if not streamed:
        return json.loads(raw)
    decoder = dialect.decoder(Policy())
    found = dialect.collect([*decoder.feed(raw), *decoder.end()], Asked("m", "k9"))
    # The decoder reads an upstream, whose seals it marks as that proxy's own. A client keeps them as they came.
    return json.loads(json.dumps(found).replace("~sealed.proxy.1.messages.", ""))


def messages_history(dialect: Any, raw: bytes, streamed: bool) -> Any:
    content = whole(dialect, raw, streamed)["content"]
    id = content[-1]["id"]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "done"}]}
    return {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}, result]}


def chat_history(dialect: Any, raw: bytes, streamed: bool) -> Any:
    message = whole(dialect, raw, streamed)["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "done"}
    return {"messages": [{"role": "user", "content": "Hi"}, message, result]}


def responses_history(dialect: Any, raw: bytes, streamed: bool) -> Any:
    output = whole(dialect, raw, streamed)["output"]
    id = next(item["call_id"] for item in output if item["type"] == "function_call")
    result = {"type": "function_call_output", "call_id": id, "output": "done"}
    return {"input": [{"role": "user", "content": "Hi"}, *output, result]}


HISTORIES: dict[str, Any] = {
    "messages": messages_history, "chat": chat_history, "responses": responses_history,
}  # fmt: skip


def test_pages_that_a_reply_rests_on_cross_both_ways() -> None:
    """Google counts bytes, everybody else characters."""
    text = "Größe ist 5 m."
    support = {"segment": {"endIndex": 7, "text": "Größe"}, "groundingChunkIndices": [0]}
    ground = {"webSearchQueries": ["size"], "groundingChunks": [{"web": {"uri": "https://x.test/", "title": "X"}}],
              "groundingSupports": [support]}  # fmt: skip
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP", "groundingMetadata": ground}
    reply = {"candidates": [candidate]}
    with Upstream([Answer.json(reply)]) as up, house(up, "gemini") as here:
        chat = json.loads(here.post("/v1/chat/completions", ASKS["chat"] | {"model": "m"})[2])
    (note,) = chat["choices"][0]["message"]["annotations"]
    cited = note["url_citation"]
    assert (cited["url"], text[cited["start_index"] : cited["end_index"]]) == ("https://x.test/", "Größe")
    page = Citation("responses", {}, "https://x.test/", "X", 0, 5)
    with scripted("responses", told(part(Text(""), text, citations=[page]))) as up, house(up, "responses") as here:
        with sdk_gemini.client(here.url) as sdk:
            grounds = sdk.models.generate_content(model="m", contents="Hi").candidates[0].grounding_metadata
    assert grounds.grounding_chunks[0].web.uri == "https://x.test/"
    segment = grounds.grounding_supports[0].segment
    assert text.encode()[segment.start_index or 0 : segment.end_index].decode() == segment.text == "Größe"


def test_the_sdk_in_vertex_mode_is_served_too() -> None:
    """Its addresses differ; a key stands for a project."""
    with scripted("chat", SAYING) as up, house(up, "chat") as here:
        options = types.HttpOptions(base_url=here.url)
        sdk = genai.Client(vertexai=True, api_key="sk-test", http_options=options)
        reply = sdk.models.generate_content(model="gpt-x", contents="Hi")
        assert reply.text == "It is sunny 😀 there."
        sdk.close()
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
        path = "/v1/projects/p/locations/global/publishers/google/models/m:streamGenerateContent?alt=sse"
        assert here.post(path, body)[0] == 200
    assert up.requests[0].json["model"] == "gpt-x"


@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_the_ai_sdk_leaves_models_out_of_the_address_of_a_name_with_a_slash(version: str) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    with scripted("chat", SAYING) as up, house(up, "chat") as here:
        for verb in ("generateContent", "streamGenerateContent?alt=sse", "countTokens"):
            status, _, _ = here.post(f"/{version}/up/org/gpt-x:{verb}", body)
            assert status == 200
        status, _, refusal = here.post(f"/{version}/v1beta/models/m:generateContent", body)
        assert status == 404 and b"base URL" in refusal
    assert [request.json["model"] for request in up.requests] == ["org/gpt-x"] * 2


def test_a_picture_and_a_file_cross() -> None:
    png = base64.b64encode(b"png").decode()
    contents = [types.Part.from_bytes(data=b"png", mime_type="image/png"), "What is it?",
                types.Part.from_bytes(data=b"%PDF", mime_type="application/pdf")]  # fmt: skip
    with scripted("messages", SAYING) as up, house(up, "messages") as here, sdk_gemini.client(here.url) as sdk:
        sdk.models.generate_content(model="m", contents=contents)
    blocks = up.requests[0].json["messages"][0]["content"]
    assert blocks[0]["source"] == {"type": "base64", "media_type": "image/png", "data": png}
    assert blocks[2]["source"]["media_type"] == "application/pdf"


def test_embeddings_are_relayed_to_an_upstream_of_googles_alone() -> None:
    found = {"embedding": {"values": [0.5, 1.0]}}
    with Upstream([Answer.json({"embeddings": [found["embedding"]]})]) as up, house(up, "gemini") as here:
        with sdk_gemini.client(here.url) as sdk:
            (one,) = sdk.models.embed_content(model="embedder", contents="Hi").embeddings
    assert one.values == [0.5, 1.0]
    assert up.requests[0].path == "/v1/models/embedder:batchEmbedContents"
    with Upstream([Answer.json({})]) as up, house(up, "chat") as here:
        assert here.post("/v1beta/models/m:embedContent", {"content": {"parts": [{"text": "x"}]}})[0] == 404
    assert up.requests == []


@pytest.mark.parametrize(("model", "native"), [("gemini-2.5-flash", False), ("gemini-3-pro", True)])
def test_a_schema_beside_tools_is_a_tool_where_the_model_takes_no_other(model: str, native: bool) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    wish = {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}
    said = told(part(Text(""), '{"city":"x"}')) if native else told(
        part(ToolCall("1", "final_answer"), '{"city":"x"}'), reason="tool_calls")  # fmt: skip
    with scripted("gemini", said) as up, house(up, "gemini") as here:
        reply = json.loads(here.post("/v1/chat/completions", ASKS["chat"] | wish | {"model": model})[2])
    assert json.loads(reply["choices"][0]["message"]["content"]) == {"city": "x"}
    sent = up.requests[0].json
    assert ("responseSchema" in sent.get("generationConfig", {})) is native
    assert len(sent["tools"][0]["functionDeclarations"]) == (1 if native else 2)


@pytest.mark.parametrize("form", ["", "?alt=sse"])
def test_an_upstream_that_answers_whole_is_a_stream_all_the_same(form: str) -> None:
    whole = dialects.of("gemini").collect(SAYING, Asked("m", "k1"))
    body = {"contents": [{"parts": [{"text": "Hi"}]}]}
    with Upstream([Answer.json(whole)]) as up, house(up, "gemini") as here:
        raw = here.post(f"/v1beta/models/m:streamGenerateContent{form}", body)[2]
    events = sdk_gemini.events(raw) if form else json.loads(raw)
    parts = [each for event in events for each in event["candidates"][0]["content"]["parts"]]
    assert "".join(each.get("text", "") for each in parts) == "It is sunny 😀 there."
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"


def test_what_passes_through_tells_its_usage_and_its_end() -> None:
    raw = dialects.of("gemini").encoder(Asked("gemini-9", "k1")).emit(SAYING)
    reply = Passthrough("gemini", "mine")
    out = b"".join(reply.feed(raw[at : at + 33]) for at in range(0, len(raw), 33)) + reply.end()
    assert out == raw.replace(b'"modelVersion":"gemini-9"', b'"modelVersion":"mine"')
    assert reply.usage is not None and (reply.usage.prompt, reply.usage.output, reply.usage.reasoning) == (25, 9, 4)
    assert reply.complete and reply.fault is None
    cut = Passthrough("gemini")
    broken = cut.feed(raw[: raw.index(b"finishReason")]) + cut.end()
    assert sdk_gemini.events(broken)[-1]["error"]["code"] == 502 and cut.fault is not None
    whole = Passthrough("gemini")
    whole.whole(wire.dumps(dialects.of("gemini").collect(SAYING, Asked("m", "k1"))))
    assert whole.usage is not None and whole.usage.cache_read == 5
