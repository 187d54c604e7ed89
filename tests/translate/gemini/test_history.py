"""What Gemini says in a history beside words and calls: proofs, drafts, what Google ran itself, names of pictures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import pair
from translate.target import Asked, Encoded, Policy, Protocol, Target

Json = dict[str, Any]

MODELS: dict[Protocol, str] = {"messages": "claude-sonnet-4-5", "chat": "gpt-5.2", "responses": "gpt-5.2"}
KEY = {"messages": "messages", "chat": "messages", "responses": "input"}
KIND = "GOOGLE_SEARCH_WEB"
PNG = {"mimeType": "image/png", "data": "iVBORw0KGgo="}
HI: Json = {"role": "user", "parts": [{"text": "hi"}]}
CALL: Json = {"functionCall": {"id": "b", "name": "f", "args": {}}, "thoughtSignature": "c2lnMw=="}
SEARCHED: list[Json] = [
    {"toolCall": {"toolType": KIND, "args": {"queries": ["q"]}, "id": "a"}, "thoughtSignature": "c2lnMQ=="},
    {"toolResponse": {"toolType": KIND, "response": {"x": "y"}, "id": "a"}, "thoughtSignature": "c2lnMg=="},
]  # fmt: skip


def asked(*parts: Json, after: Json | None = None) -> Json:
    last = [after] if after is not None else []
    return {"model": "m", "contents": [HI, {"role": "model", "parts": list(parts)}, *last, HI]}


def sent(upstream: Protocol, body: Json) -> Encoded:
    return pair.request("gemini", upstream, body, Target(MODELS[upstream]))


DRAFTS: dict[str, Json] = {
    "words": {"text": "draft"},
    "a picture": {"inlineData": PNG},
    "a file": {"fileData": {"fileUri": "https://draft.test/a.png", "mimeType": "image/png"}},
    "code": {"executableCode": {"code": "draft", "language": "PYTHON"}},
    "nothing": {},
}


@pytest.mark.parametrize("draft", DRAFTS.values(), ids=DRAFTS)
@pytest.mark.parametrize("signed", [{}, {"thoughtSignature": "c2ln"}])
@pytest.mark.parametrize("upstream", MODELS)
def test_a_draft_is_a_thought_whatever_it_holds(upstream: Protocol, signed: Json, draft: Json) -> None:
    out = sent(upstream, asked({"thought": True} | draft | signed, {"text": "done"}))
    plain = sent(upstream, asked({"text": "done"}))
    assert out.body == plain.body and "contents.parts.thought" in out.dropped


@pytest.mark.parametrize("upstream", MODELS)
@pytest.mark.parametrize("part", [*SEARCHED, {"executableCode": {"code": "print(1)", "language": "PYTHON"}}])
def test_a_proof_is_no_text(upstream: Protocol, part: Json) -> None:
    assert "c2ln" not in json.dumps(sent(upstream, asked(part | {"thoughtSignature": "c2ln"}, {"text": "done"})).body)


def test_it_goes_home_as_it_came() -> None:
    parts: list[Json] = [
        {"thought": True, "text": "hm"}, {"thought": True, "inlineData": PNG},
        {"thought": True, "thoughtSignature": "c2ln"}, *SEARCHED,
        {"text": "done", "thoughtSignature": "c2ln"}, CALL, {"text": "", "thoughtSignature": "c2ln"},
        {"thoughtSignature": "c2ln"},
    ]  # fmt: skip
    body = asked(*parts)
    rebuilt = pair.request("gemini", "gemini", body, Target("gemini-3-pro", Policy(rebuild=True))).body
    assert rebuilt["contents"] == body["contents"]


@pytest.mark.parametrize("upstream", MODELS)
def test_a_picture_of_a_result_has_the_name_that_the_result_gives_it(upstream: Protocol) -> None:
    shown = [{"inlineData": PNG | {"displayName": "a.png"}}, {"text": "", "inlineData": {"displayName": "nothing"}}]
    said = {"name": "f", "id": "b", "response": {"image": {"$ref": "a.png"}}, "parts": shown}
    body = asked(CALL, after={"role": "user", "parts": [{"functionResponse": said}]})
    out = json.dumps(sent(upstream, body).body[KEY[upstream]])
    assert out.index('\\"$ref\\":') < out.index("[a.png]") < out.index("iVBORw0KGgo=")


# ------------------------------------------------------------------------------------ what a reply brought


def answered(client: Protocol, parts: list[Json], stream: bool) -> Any:
    """The client's own form of a reply, as it keeps it in its history."""
    said = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}]}
    raw = json.dumps(said).encode()
    out = json.loads(
        pair.Crossing(client, "gemini", Asked("m", "k")).whole(b"data: %b\n\n" % raw if stream else raw, stream)
    )
    if client == "chat":
        return [out["choices"][0]["message"]]
    return [{"role": "assistant", "content": out["content"]}] if client == "messages" else out["output"]


def returned(
    client: Protocol, parts: list[Json], tools: list[str], stream: bool, model: str = "gemini-3-pro"
) -> list[Json]:
    """What Gemini gets back of it. tools: what the client offers."""
    search: Json = {"type": "web_search_20250305", "name": "web_search"}
    declared = {
        "messages": {"name": "f", "input_schema": {"type": "object"}},
        "responses": {"type": "function", "name": "f"},
    }
    offered = {"f": declared.get(client, {"type": "function", "function": {"name": "f"}}),
               "search": search if client == "messages" else {"type": "web_search"}}  # fmt: skip
    user = {"role": "user", "content": "x"}
    body = {"model": "m", KEY[client]: [user, *answered(client, parts, stream), user], "max_tokens": 99,
            "tools": [offered[name] for name in tools]}  # fmt: skip
    target = Target(model, Policy(web_search="true"))
    return list(pair.request(client, "gemini", body, target).body["contents"][1]["parts"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["messages", "responses"])
def test_what_google_has_searched_goes_back_where_it_may_search_on(client: Protocol, stream: bool) -> None:
    said = [*SEARCHED, {"text": "done"}]
    assert returned(client, said, ["f", "search"], stream) == said
    assert returned(client, said, ["f"], stream) == said[2:]
    assert returned(client, said, ["search"], stream) == said[2:]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["chat", "responses"])
def test_pictures_go_back_with_their_proofs(client: Protocol, stream: bool) -> None:
    first, second = ({"inlineData": PNG, "thoughtSignature": proof} for proof in ("c2lnMQ==", "c2lnMg=="))
    assert [part for part in returned(client, [{"text": "so"}, first, second], [], stream) if "text" not in part] == [
        first,
        second,
    ]


def test_the_proof_of_a_picture_goes_on_nothing_else() -> None:
    """Messages has no place for the picture."""
    assert "c2ln" not in json.dumps(
        returned("messages", [{"inlineData": PNG, "thoughtSignature": "c2ln"}, {"text": "so"}], [], False)
    )
