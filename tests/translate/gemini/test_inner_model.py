"""The model's name that a Gemini request repeats within its body, where the upstream calls the model otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.sdk_gemini import client
from translate.gemini.inner_model import renamed

WORDS = {"parts": [{"text": "hi"}]}


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("models/mine", "models/theirs"),
        ("publishers/google/models/mine", "publishers/google/models/theirs"),
        ("models/other", "models/other"),
        ("mine", "mine"),
        (7, 7),
        (None, None),
    ],
)  # fmt: skip
def test_only_the_same_name_is_another_one(said: Any, right: Any) -> None:
    for body in (
        {"requests": [{"model": said, "content": WORDS}, {"content": WORDS}]},
        {"generateContentRequest": {"model": said, "contents": [WORDS]}},
        {"generate_content_request": {"model": said, "contents": [WORDS]}},
        {"model": said, "content": WORDS},
    ):
        raw = json.dumps(body).encode()
        assert json.loads(renamed(raw, "mine", "theirs")) == json.loads(raw.replace(*_bytes(said, right)))
        assert renamed(raw, "theirs", "x") == raw


def _bytes(said: Any, right: Any) -> tuple[bytes, bytes]:
    return json.dumps(said).encode(), json.dumps(right).encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"contents":[{"parts":[{"functionCall":{"args":{"model":"models/mine"}}}]}]}',
        b'{"requests":[{"content":{"parts":[{"functionCall":{"args":{"model":"models/mine"}}}]}}]}',
        b'{"requests":"models/mine","model":["models/mine"]}', b'{"requests":[1,{"model":[]}]}', b'{"model" "requests"',
        b'["requests","model"]',
    ],
)  # fmt: skip
def test_all_else_stays_as_it_is(body: bytes) -> None:
    assert renamed(body, "mine", "theirs") == body


def google(request: Request) -> Answer:
    """Google's check."""
    own = request.path.rpartition("/")[2].partition(":")[0]
    inner = request.json.get("requests") or [request.json.get("generateContentRequest", {})]
    if any(part.get("model") not in (None, f"models/{own}") for part in inner):
        return Answer.json({"error": {"code": 400, "message": "the model in each request must be the same"}}, 400)
    return Answer.json({"embeddings": [{"values": [0.5]}], "totalTokens": 3})


@pytest.mark.parametrize("model", ["mine", "up/theirs", "theirs"])
def test_googles_sdk_embeds_by_any_name_of_the_model(model: str) -> None:
    with Upstream(google) as up:
        text = f"[upstream up]\nprotocol = gemini\nbase_url = {up.url}/v1beta\n[models]\nmine = up/theirs\n* = up\n"
        with House(text) as house, client(house.url) as sdk:
            found = sdk.models.embed_content(model=model, contents=["a", "b"])
            assert found.embeddings[0].values == [0.5]
            counted = {"generateContentRequest": {"model": f"models/{model}", "contents": [WORDS]}}
            at = f"/v1beta/models/{model.replace('/', '%2F')}:countTokens"
            assert house.post(at, counted)[0] == 200
