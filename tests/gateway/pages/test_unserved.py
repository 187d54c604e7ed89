"""Addresses that are not served: the vendors' own SDKs are told what to do instead, in their vendor's words."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from google import genai
from google.genai import errors, types

from tests.gateway.flow.test_gemini import SAYING, house, scripted
from tests.support import sdk_gemini
from translate import dialects

CACHE = types.CreateCachedContentConfig(contents=[types.Content(role="user", parts=[types.Part(text="x")])])
BATCHED = types.InlinedRequest(contents=[types.Content(role="user", parts=[types.Part(text="x")])])
UNSERVED: list[tuple[str, Callable[[genai.Client], Any], str]] = [
    ("upload", lambda sdk: sdk.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain"}), "inlineData"),
    ("get", lambda sdk: sdk.files.get(name="files/abc"), "inlineData"),
    ("list", lambda sdk: list(sdk.files.list()), "inlineData"),
    ("delete", lambda sdk: sdk.files.delete(name="files/abc"), "inlineData"),
    ("cache", lambda sdk: sdk.caches.create(model="gemini-3-pro", config=CACHE), "caches by itself"),
    ("of a cache", lambda sdk: sdk.caches.get(name="cachedContents/abc"), "caches by itself"),
    ("batch", lambda sdk: sdk.batches.create(model="gemini-3-pro", src=[BATCHED]), "/v1/messages/batches"),
    ("of a batch", lambda sdk: sdk.batches.get(name="batches/abc"), "/v1/messages/batches"),
    ("batches", lambda sdk: list(sdk.batches.list()), "/v1/messages/batches"),
    ("cancel", lambda sdk: sdk.batches.cancel(name="batches/abc"), "/v1/messages/batches"),
    ("delete", lambda sdk: sdk.batches.delete(name="batches/abc"), "/v1/messages/batches"),
    ("update", lambda sdk: sdk.caches.update(name="cachedContents/abc", config={"ttl": "9s"}), "caches by itself"),
]


# What a Gemini upstream keeps is not for here: tests/gateway/batches/test_cached_contents.py.
CASES = [(protocol, *row) for protocol in ("gemini", "chat") for row in UNSERVED
         if protocol == "chat" or "caches" not in row[2]]  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "ask", "says"),
    [(protocol, ask, says) for protocol, _, ask, says in CASES],
    ids=[f"{protocol}-{name}" for protocol, name, *_ in CASES],
)
def test_what_is_not_served_is_refused_in_googles_words_with_what_to_do_instead(
    protocol: str, ask: Callable[[genai.Client], Any], says: str
) -> None:
    with scripted(protocol, SAYING) as up, house(up, protocol) as here, sdk_gemini.client(here.url) as sdk:
        with pytest.raises(errors.ClientError, match=says) as refused:
            ask(sdk)
    assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND") and not up.requests


def test_openais_clients_are_told_what_takes_the_place_of_conversations_and_threads() -> None:
    with scripted("chat", SAYING) as up, house(up, "chat") as here:
        with openai.OpenAI(base_url=f"{here.url}/v1", api_key="sk-test", max_retries=0) as sdk:
            with pytest.raises(openai.NotFoundError, match="previous_response_id") as refused:
                sdk.conversations.create()
            with pytest.raises(openai.NotFoundError, match="previous_response_id"):
                sdk.conversations.items.list("conv_1")
        status, _, body = here.post("/v1/threads/t/messages", {})
    assert refused.value.type == "invalid_request_error"
    assert status == 404 and b"/v1/responses, which is served" in body and not up.requests


def test_googles_clients_are_told_what_takes_the_place_of_interactions() -> None:
    with scripted("chat", SAYING) as up, house(up, "chat") as here:
        status, _, body = here.post("/v1beta/interactions", {"model": "m", "input": "Hi"})
    assert status == 404 and b"interactions are not kept" in body and b'"NOT_FOUND"' in body


@pytest.mark.parametrize("path", ["/model/claude-x/converse", "/model/up/claude-x/converse-stream"])
def test_bedrocks_clients_are_told_what_to_ask_in_place_of_converse(path: str) -> None:
    """The AI SDK's provider, Strands and LangChain's ChatBedrockConverse ask so."""
    with scripted("chat", SAYING) as up, house(up, "chat") as here:
        status, _, raw = here.post(path, {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]})
    said = json.loads(raw)
    assert status == 404 and said["__type"] == "ResourceNotFoundException" and "/model/MODEL/invoke" in said["message"]


def test_files_of_others_stay_theirs() -> None:
    """/v1/files is OpenAI's address, and Anthropic's."""
    assert dialects.unserved("/v1/files") is None and dialects.unserved("/v1beta/files") is not None
