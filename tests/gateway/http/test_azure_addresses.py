"""Clients that are set up for Azure: the official SDK's AzureOpenAI, its other addresses and its key header."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import openai
import pytest

from gateway.http.azure_addresses import plain
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import ASK, says, streams

KEY = "a-key-of-the-client-16"


def settings(up: Upstream, more: str = "") -> str:
    return f"[upstream up]\nprotocol = chat, responses\nbase_url = {up.url}\n{more}\n[models]\nname = up/real\n"


def answer(request: Request) -> Answer:
    if request.method == "GET":
        return Answer.json({"object": "list", "data": []})
    if request.path.endswith("/embeddings"):
        vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return Answer.json({"object": "list", "data": [vector], "model": "real", "usage": usage})
    if request.path.endswith("/transcriptions"):
        return Answer.json({"text": "hello"})
    if request.path.endswith("/speech"):
        return Answer(200, {"Content-Type": "audio/mpeg"}, b"sound")
    if request.path.endswith("/responses"):
        return Answer.json({"id": "resp_1", "object": "response", "created_at": 1, "model": "real", "output": [],
                            "status": "completed"})  # fmt: skip
    return Answer.sse(streams("hi")) if request.json.get("stream") else says("hi")


def azure(house: House, **more: Any) -> openai.AzureOpenAI:
    more = {"api_version": "2024-10-21", "api_key": KEY, "max_retries": 0, "azure_endpoint": house.url} | more
    return openai.AzureOpenAI(**more)


def test_the_official_client() -> None:
    with Upstream(answer) as up, House(settings(up)) as house, azure(house) as client:
        messages: Any = ASK["messages"]
        whole = client.chat.completions.create(model="name", messages=messages)
        assert whole.choices[0].message.content == "hi"
        stream = client.chat.completions.create(model="name", messages=messages, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "hi"
        assert client.embeddings.create(model="name", input="x", encoding_format="float").data[0].embedding == [0.5]
        heard = client.audio.transcriptions.create(model="name", file=("a.wav", io.BytesIO(b"RIFF"), "audio/wav"))
        assert heard.text == "hello"
        assert client.audio.speech.create(model="name", voice="alloy", input="hi").read() == b"sound"
        assert client.responses.create(model="name", input="hi").id
        assert any(model.id == "name" for model in client.models.list())
        with pytest.raises(openai.NotFoundError):
            client.vector_stores.list()
    paths = ["chat/completions", "chat/completions", "embeddings", "audio/transcriptions", "audio/speech", "responses"]
    posted = [request for request in up.requests if request.method == "POST"]
    assert [request.path for request in posted] == [f"/v1/{path}" for path in paths]


def test_the_name_in_the_address_is_the_models_whatever_the_body_says() -> None:
    with Upstream(answer) as up, House(settings(up)) as house, azure(house, azure_deployment="name") as client:
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "hi"}])
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", io.BytesIO(b"RIFF"), "audio/wav"))
        client.audio.speech.create(model="tts-1", voice="alloy", input="hi")
        path = "/openai/deployments/name/chat/completions?api-version=2024-10-21"
        status, _, body = house.post(path, {"messages": ASK["messages"]})
    assert status == 200, body
    assert up.requests[0].json["model"] == up.requests[2].json["model"] == up.requests[3].json["model"] == "real"
    assert b'name="model"\r\n\r\nreal\r\n' in up.requests[1].body


def test_what_passes_through_keeps_its_bytes() -> None:
    sent = b'{ "messages": [{"role": "user",  "content": "hi"}],"model":"name" }'
    same = "[upstream up]\nprotocol = chat\nbase_url = {}\nask_usage = false\n[models]\nname = up\n"
    with Upstream(answer) as up, House(same.format(up.url)) as house:
        house.post("/openai/deployments/name/chat/completions?api-version=1", sent)
        house.post("/openai/v1/chat/completions", sent)
    assert [request.body for request in up.requests] == [sent, sent]


def test_the_newer_address_by_the_plain_client_and_the_asynchronous_one() -> None:
    async def asks(url: str) -> str:
        async with openai.AsyncAzureOpenAI(azure_endpoint=url, api_version="1", api_key=KEY) as client:
            said = await client.chat.completions.create(model="name", messages=[{"role": "user", "content": "hi"}])
            return said.choices[0].message.content or ""

    with Upstream(answer) as up, House(settings(up)) as house:
        with openai.OpenAI(base_url=f"{house.url}/openai/v1/", api_key=KEY) as client:
            assert client.responses.create(model="name", input="hi").id
            assert client.models.retrieve("name").id == "name"
        assert asyncio.run(asks(house.url)) == "hi"


def test_the_header_of_the_key() -> None:
    clients = f"[client me]\nkey = {KEY}\n"
    with Upstream(answer) as up, House(clients + settings(up)) as house:
        with azure(house) as client:
            client.chat.completions.create(model="name", messages=[{"role": "user", "content": "hi"}])
        with azure(house, api_key="another-key-of-16-or-more") as client, pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="name", messages=[{"role": "user", "content": "hi"}])
    assert KEY.encode() not in json.dumps(up.requests[0].headers).encode()


@pytest.mark.parametrize(
    ("lines", "header"),
    [("", ("authorization", f"Bearer {KEY}")), ("key_header = api-key\n", ("api-key", KEY))],
)
def test_a_key_of_the_clients_own_goes_where_the_upstream_reads_it(lines: str, header: tuple[str, str]) -> None:
    with Upstream(answer) as up, House(settings(up, "forward_client_key = true\n" + lines)) as house:
        with azure(house) as client:
            client.chat.completions.create(model="name", messages=[{"role": "user", "content": "hi"}])
    sent = {name.lower(): value for name, value in up.requests[0].headers.items()}
    assert {name: sent[name] for name in ("authorization", "api-key") if name in sent} == dict([header])


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/openai/v1/responses?api-version=preview", ("/v1/responses?api-version=preview", "")),
        ("/openai/responses/resp_1?api-version=2025-04-01&include=x", ("/v1/responses/resp_1?include=x", "")),
        ("/openai/files?purpose=batch&api-version=1&limit=2", ("/v1/files?purpose=batch&limit=2", "")),
        ("/openai/deployments/a%2Fb/embeddings?api-version=1", ("/v1/embeddings", "a/b")),
        ("/openai/deployments/a/audio/speech", ("/v1/audio/speech", "a")),
        ("/openai/models", ("/v1/models", "")),
        ("/v1/responses", ("/v1/responses", "")),
    ],
)
def test_azure_paths_are_read(target: str, found: tuple[str, str]) -> None:
    assert plain(target) == found


def test_requests_in_the_form_of_responses_keep_their_model_and_stream() -> None:
    path = "/openai/deployments/name/chat/completions?api-version=1"
    with Upstream(lambda request: Answer.sse(streams("hello"))) as up, House(settings(up)) as house:
        status, headers, said = house.post(path, {"input": [{"role": "user", "content": "hi"}], "stream": True})
    assert status == 200 and headers["content-type"].startswith("text/event-stream") and b"hello" in said
    assert (up.requests[0].json["model"], up.requests[0].json["stream"]) == ("real", True)
