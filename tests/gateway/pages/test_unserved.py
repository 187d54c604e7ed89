"""Addresses of the Gemini API that are not served: Google's own SDK is told what to do instead, in Google's words."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.gateway.flow.test_gemini import SAYING, house, scripted
from tests.support import sdk_gemini
from translate import dialects

CACHE = types.CreateCachedContentConfig(contents=[types.Content(role="user", parts=[types.Part(text="x")])])
UNSERVED: list[tuple[str, Callable[[genai.Client], Any], str]] = [
    ("upload", lambda sdk: sdk.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain"}), "inlineData"),
    ("get", lambda sdk: sdk.files.get(name="files/abc"), "inlineData"),
    ("list", lambda sdk: list(sdk.files.list()), "inlineData"),
    ("delete", lambda sdk: sdk.files.delete(name="files/abc"), "inlineData"),
    ("cache", lambda sdk: sdk.caches.create(model="gemini-3-pro", config=CACHE), "caches by itself"),
    ("of a cache", lambda sdk: sdk.caches.get(name="cachedContents/abc"), "caches by itself"),
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


def test_files_of_others_stay_theirs() -> None:
    """/v1/files is OpenAI's address, and Anthropic's."""
    assert dialects.unserved("/v1/files") is None and dialects.unserved("/v1beta/files") is not None
