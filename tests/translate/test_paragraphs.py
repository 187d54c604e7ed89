"""What a reply says in several messages, or before and after a tool, are paragraphs of the one text of a Chat reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import dialects, pair
from translate.target import Asked, Protocol, Target

Json = dict[str, Any]

NOTE = {"type": "url_citation", "url": "http://x.test", "title": "x", "start_index": 0, "end_index": 2}
CITED = {"type": "web_search_result_location", "url": "http://x.test", "title": "x", "cited_text": "c",
         "encrypted_index": "e"}  # fmt: skip
SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search"}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}


def message(*texts: str, **more: Any) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "id": f"msg_{texts[0]}", "role": "assistant", "content": content} | more


def responses(*items: Json) -> Json:
    return {"object": "response", "status": "completed", "output": list(items)}


def messages(*blocks: Json | str) -> Json:
    said = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
    return {"type": "message", "role": "assistant", "content": said, "stop_reason": "end_turn"}


def gemini(*parts: Json | str) -> Json:
    said = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"candidates": [{"content": {"role": "model", "parts": said}, "finishReason": "STOP", "index": 0}]}


CASES: list[tuple[Protocol, Json, str]] = [
    ("responses", responses(message("Let me check.", phase="commentary"), message("It rains.")),
     "Let me check.\n\nIt rains."),
    ("responses", responses(message("It ", "rains.")), "It rains."),
    ("responses", responses({"type": "reasoning", "summary": []}, message("It rains.")), "It rains."),
    ("messages", messages("I search.", SEARCH, FOUND, "It rains."), "I search.\n\nIt rains."),
    ("messages", messages("It ", {"type": "text", "text": "rains", "citations": [CITED]}, "."), "It rains."),
    ("messages", messages("I call.", CALL, "So."), "I call.\n\nSo."),
    ("messages", messages("I call.", CALL, "\n\nSo."), "I call.\n\nSo."),
    ("messages", messages({"type": "thinking", "thinking": "hm", "signature": "s"}, "It rains."), "It rains."),
    ("gemini", gemini("I compute. ", {"executableCode": {"code": "1"}}, "It is 1."), "I compute. It is 1."),
    ("gemini", gemini({"text": "hm", "thought": True}, "It ", "rains."), "It rains."),
]  # fmt: skip


def whole(client: Protocol, upstream: Protocol, reply: Json) -> Any:
    return json.loads(pair.Crossing(client, upstream, Asked("m", "k")).whole(json.dumps(reply).encode()))


def streamed(client: Protocol, upstream: Protocol, reply: Json) -> Any:
    """The client's stream of the upstream's, as a whole reply."""
    raw = json.dumps(reply).encode()
    if upstream == "gemini":
        stream = b"data: %b\n\n" % raw
    elif (replayed := dialects.of(upstream).as_stream) is not None:
        stream = replayed(reply)
    else:
        stream = pair.Crossing(upstream, upstream, Asked("m", "k")).whole_as_stream(raw)
    crossing = pair.Crossing(client, upstream, Asked("m", "k"))
    out = crossing.feed(stream) + crossing.end()
    return json.loads(pair.Crossing(client, client, Asked("m", "k")).whole(out, streamed=True))


@pytest.mark.parametrize(("upstream", "reply", "text"), CASES)
def test_they_are_read_apart(upstream: Protocol, reply: Json, text: str) -> None:
    for way in (whole, streamed):
        assert way("chat", upstream, reply)["choices"][0]["message"]["content"] == text
        if upstream != "gemini":
            parts = way("gemini", upstream, reply)["candidates"][0]["content"]["parts"]
            assert "".join(part.get("text", "") for part in parts if not part.get("thought")) == text


def test_a_citation_stands_where_its_words_are() -> None:
    answer = message("It rains.")
    answer["content"][0]["annotations"] = [NOTE]
    said = whole("chat", "responses", responses(message("Let me check."), answer))["choices"][0]["message"]
    cited = said["annotations"][0]["url_citation"]
    assert said["content"][cited["start_index"] : cited["end_index"]] == "It"


@pytest.mark.parametrize("client", ["messages", "responses"])
def test_where_each_has_a_place_of_its_own_nothing_is_added(client: Protocol) -> None:
    texts = ("I compute.", {"executableCode": {"code": "1"}}, "It is 1.")
    assert r"\n" not in json.dumps(whole(client, "gemini", gemini(*texts)))


def test_a_chat_reply_that_is_written_anew_is_as_it_was() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": "I call.So.", "tool_calls": [call]}
    reply = {"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}
    assert whole("chat", "chat", reply)["choices"][0]["message"]["content"] == "I call.So."


def test_a_history_has_the_same_paragraphs() -> None:
    cited = {"type": "text", "text": "rains", "citations": [CITED]}
    said = messages("I search.", SEARCH, FOUND, "It ", cited, ".")["content"]
    user = {"role": "user", "content": "k"}
    history = [user, {"role": "assistant", "content": said}, user]
    body = {"model": "m", "max_tokens": 9, "messages": history}
    sent: Any = pair.request("messages", "chat", body, Target("gpt-5.2")).body["messages"]
    assert sent[1] == {"role": "assistant", "content": "I search.\n\nIt rains."}
