"""What a client is told whose base URL is a little wrong."""

from __future__ import annotations

import json

import anthropic
import openai
import pytest

from gateway.pages.astray import alike, meant
from tests.support.house import House, one_upstream

GEMINI = "/v1beta/models/{model}"
SETTINGS = one_upstream("http://127.0.0.1:9", "chat")


@pytest.mark.parametrize(
    ("path", "address", "todo"),
    [
        ("/chat/completions", "/v1/chat/completions", "add /v1 to"),
        ("/responses", "/v1/responses", "add /v1 to"),
        ("/models", "/v1/models", "add /v1 to"),
        ("/messages/count_tokens", "/v1/messages/count_tokens", "add /v1 to"),
        ("/v1/v1/messages", "/v1/messages", "remove /v1 from"),
        ("/anthropic/v1/messages", "/v1/messages", "remove /anthropic from"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions", "write /v1 in place of /v1/chat/completions"),
        ("/v1beta/openai/chat/completions", "/v1/chat/completions", "write /v1 in place of /v1beta/openai"),
        ("/api/v1/chat/completions", "/v1/chat/completions", "remove /api from"),
        ("/models/gemini-9:generateContent", f"{GEMINI}:generateContent", "add /v1beta to"),
        ("/models/up/gemini-9:countTokens", f"{GEMINI}:countTokens", "add /v1beta to"),
        ("/v1beta/v1beta/models/m:streamGenerateContent", f"{GEMINI}:streamGenerateContent", "remove /v1beta from"),
        ("/v1beta/v1beta/models", "/v1beta/models", "remove /v1beta from"),
        ("/gemini/v1beta/models/m:embedContent", f"{GEMINI}:embedContent", "remove /gemini from"),
        ("/v1/model/anthropic.m/invoke", "/model/{model}/invoke", "remove /v1 from"),
        ("/v1/api/chat", "/api/chat", "remove /v1 from"),
        ("/api/api/tags", "/api/tags", "remove /api from"),
        ("/v1/chat/completions/", "/v1/chat/completions", "remove the slash at the end"),
        ("/v1/audio/speech/", "/v1/audio/speech", "remove the slash at the end"),
        ("/v1beta/models/m:countTokens/", "/v1beta/models/m:countTokens", "remove the slash at the end"),
        ("/api/tags/", "/api/tags", "remove the slash at the end"),
        ("/v1//chat/completions", "/v1/chat/completions", "your client's base URL must not end with a slash"),
        ("/v1beta//models/m:countTokens", "/v1beta/models/m:countTokens", "your client's base URL must not end"),
    ],
)
def test_a_base_url_that_is_a_little_wrong(path: str, address: str, todo: str) -> None:
    found = meant(path)
    assert found is not None and found[0] == address and found[1].startswith(todo), found


@pytest.mark.parametrize("path", [
    "/v1/threads/t/messages", "/v1/vector_stores/v/files", "/v1/vector_stores", "/x", "", "/v1beta/models/m:unknown",
    "/models/:generateContent", "/model/m/other",
])  # fmt: skip
def test_what_is_another_endpoint_is_none(path: str) -> None:
    assert meant(path) is None


def test_what_is_told_is_of_the_same_form() -> None:
    assert "/v1/responses" in alike("/v1/vector_stores") and "/v1/models" in alike("/v1/vector_stores")
    assert {address.split("/")[1] for address in alike("/v1/vector_stores")} == {"v1"}
    assert {address.split("/")[1] for address in alike("/api/pull")} == {"api"}
    assert "/v1/messages" in alike("/nowhere")


def test_the_official_sdks_tell_it() -> None:
    with House(SETTINGS) as house:
        with openai.OpenAI(base_url=house.url, api_key="k", max_retries=0) as client:
            with pytest.raises(openai.NotFoundError, match="add /v1 to your client's base URL"):
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        with anthropic.Anthropic(base_url=f"{house.url}/v1", api_key="k", max_retries=0) as client_of_messages:
            with pytest.raises(anthropic.NotFoundError, match="remove /v1 from") as told:
                client_of_messages.messages.create(
                    model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}]
                )
        body = house.post("/anthropic/v1/messages", {})[2]
        status, _, of_gemini = house.post("/models/m:generateContent", {})
    assert told.value.body == {"type": "error", "error": told.value.body["error"], "request_id": told.value.request_id}
    assert json.loads(body)["type"] == "error"
    assert (status, json.loads(of_gemini)["error"]["status"]) == (404, "NOT_FOUND")
