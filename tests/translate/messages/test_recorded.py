"""Every recorded Messages exchange through the neutral form and back: nothing is lost, however it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance import grammar
from tests.support import params
from tests.translate.messages import material
from translate.conversation import Fault
from translate.messages.decode_request import decode, encode
from translate.messages.decode_stream import Encoder
from translate.messages.reply import collect, explode
from translate.target import Asked, Target

EXCHANGES = material.recorded()
REQUESTS = [e for e in EXCHANGES if e["request"]["body"] and e["response"]["status"] == 200]
STREAMS = [e for e in EXCHANGES if e["response"].get("sse")]
WHOLE = [e for e in EXCHANGES if not e["stream"] and e["response"]["status"] == 200]
UNFINISHED = {
    "anth-anthropic-s-36a9565fdc",  # message_start and no more
    "anth-anthropic-s-sample-overloaded",
}


def by_id(exchange: dict[str, Any]) -> str:
    return str(exchange["id"])


def plain(body: Any) -> Any:
    """A request without what the API itself holds to be equal: "text" and [{"type": "text"}], false and absent
    flags, null and absent keys, empty text and descriptions, and output_format at its old place."""
    if isinstance(body, list):
        return [plain(item) for item in body if not (isinstance(item, dict) and item.get("text") == "")]
    if not isinstance(body, dict):
        return body
    out = {key: plain(value) for key, value in body.items() if value is not None and value != []}
    for key in ("content", "system"):
        if isinstance(out.get(key), str):
            out[key] = [{"type": "text", "text": out[key]}] if out[key] else []
    for key in ("is_error", "stream"):
        if out.get(key) is False:
            del out[key]
    if out.get("description") == "":
        del out["description"]
    if "output_format" in out:
        out["output_config"] = out.get("output_config", {}) | {"format": out.pop("output_format")}
    return out


def without_billing(body: dict[str, Any]) -> dict[str, Any]:
    """Claude Code's attribution block is the one thing that decode leaves out."""
    if not isinstance(body.get("system"), list):
        return body
    return body | {"system": [b for b in body["system"] if not b["text"].startswith("x-anthropic-billing-header:")]}


@pytest.mark.parametrize("exchange", REQUESTS, ids=by_id)
def test_a_request_comes_back_as_it_was(exchange: dict[str, Any]) -> None:
    body = exchange["request"]["body"]
    before = json.dumps(body)
    conversation = decode(body)
    again = encode(conversation, Target(body["model"]))
    assert again.dropped == [] and again.tool_names == {}
    assert plain(again.body) == plain(without_billing(body))
    assert encode(conversation, Target(body["model"])).body == again.body
    assert json.dumps(body) == before


@pytest.mark.parametrize("exchange", STREAMS, ids=by_id)
def test_a_stream_says_the_same_however_it_is_cut(exchange: dict[str, Any]) -> None:
    raw = exchange["response"]["sse"].encode()
    views = []
    for chunks in material.ways(raw):
        events = material.decode(chunks)
        material.check_order(events)
        views.append(material.view(events))
    assert all(view == views[0] for view in views[1:])
    assert (views[0][-1][0] == "stop") is (exchange["id"] not in UNFINISHED)


@pytest.mark.parametrize("exchange", STREAMS, ids=by_id)
def test_a_stream_written_again_is_legal_and_says_the_same(exchange: dict[str, Any]) -> None:
    events = material.decode([exchange["response"]["sse"].encode()])
    out = Encoder(Asked("asked", "k")).emit(events)
    assert grammar.check_messages(out) == []
    said, again = material.view(events), material.view(material.decode([out]))
    if isinstance(events[-1], Fault):
        assert again[-1][0] == "fault"
    else:
        assert again[1:] == said[1:]
        assert again[0][1:3] == ("msg_k", "asked")


@pytest.mark.parametrize("exchange", WHOLE, ids=by_id)
def test_a_whole_reply_comes_back_as_it_was(exchange: dict[str, Any]) -> None:
    body = exchange["response"]["body"]
    events = explode(body)
    material.check_order(events)
    again = collect(events, Asked("asked", "k"))
    assert (again.pop("id"), again.pop("model")) == ("msg_k", "asked")
    expected = {key: value for key, value in body.items() if key not in ("id", "model")}
    assert without_zeros(again) == without_zeros(expected)


@pytest.mark.parametrize("exchange", WHOLE, ids=by_id)
def test_a_whole_reply_as_a_stream_says_the_same(exchange: dict[str, Any]) -> None:
    events = explode(exchange["response"]["body"])
    out = Encoder(Asked("asked", "k")).emit(events)
    assert grammar.check_messages(out) == []
    assert material.view(material.decode([out]))[1:] == material.view(events)[1:]


def without_zeros(value: Any) -> Any:
    """null, 0, "" and [] are what the API says in place of nothing."""
    if isinstance(value, list):
        return [without_zeros(item) for item in value]
    if isinstance(value, dict):
        return {key: without_zeros(item) for key, item in value.items() if item not in (None, 0, "", [])}
    return value


@pytest.mark.parametrize("exchange", REQUESTS, ids=by_id)
def test_a_request_read_without_its_origin_is_legal(exchange: dict[str, Any]) -> None:
    """The same conversation as if another protocol had brought it: made to fit, and valid by the SDK's types."""
    conversation = decode(exchange["request"]["body"])
    conversation.ext = {}
    for turn in conversation.turns:
        turn.ext = {}
    out = encode(conversation, Target("claude-opus-5-5"))
    assert params.check_messages(json.loads(json.dumps(out.body)), beta=True) == []
    roles = [message["role"] for message in out.body["messages"]]  # type: ignore[attr-defined]
    assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
