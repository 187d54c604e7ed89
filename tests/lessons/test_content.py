"""Lessons 22, 23, 27 and 28: images, documents, nothing at all, and instructions where they do not belong."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.lessons.histories import (
    OK_MESSAGES,
    PDF,
    PNG,
    USER,
    answered,
    calls,
    claude,
    gpt,
    pairs_hold,
    result,
    turn,
    use,
    words,
)
from tests.lessons.street import ASK, Json, Street, function

# --------------------------------------------------------------------------- 22, 23: images and documents

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
LINKED = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}


def test_22_images_of_tool_results_follow_in_a_user_message(street: Street) -> None:
    history = [
        USER,
        turn("assistant", use("t1"), use("t2")),
        turn("user", result("t1", [words("a picture"), IMAGE]), result("t2", [LINKED]), words("compare")),
    ]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool", "user"]
    assert "a picture" in sent[2]["content"] and all(isinstance(m["content"], str) and m["content"] for m in sent[2:4])
    last = sent[4]["content"]
    urls = [part["image_url"]["url"] for part in last if part["type"] == "image_url"]
    assert urls == [f"data:image/png;base64,{PNG}", "https://a.example/b.png"]
    assert last[-1] == words("compare")
    said = json.dumps(last)
    assert "t1" in said and "t2" in said  # whose image is whose


def test_22_images_of_tool_messages_stay_in_the_result(street: Street) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    history = [USER, calls(function("look")), answered("call_1", [words("a picture"), image])]
    sent = gpt(street, {"messages": history}, valid=True).sent["messages"]
    assert sent[2]["content"][0]["content"] == [words("a picture"), IMAGE]


def test_22_images_of_the_user_both_ways(street: Street) -> None:
    sent = claude(street, {"messages": [turn("user", words("what"), IMAGE, LINKED)]}).sent["messages"]
    urls = [part["image_url"]["url"] for part in sent[0]["content"][1:]]
    assert urls == [f"data:image/png;base64,{PNG}", "https://a.example/b.png"]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    sent = gpt(street, {"messages": [turn("user", words("what"), *parts)]}).sent["messages"]
    assert sent[0]["content"] == [words("what"), IMAGE, LINKED]


@pytest.mark.parametrize("content", ["it broke", [words("it broke")], "", []])
def test_22_is_error_is_kept_in_words(street: Street, content: Any) -> None:
    history = [USER, turn("assistant", use()), turn("user", result(content=content, is_error=True))]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert "error" in sent[2]["content"].lower() and (not content or "it broke" in sent[2]["content"])
    history[2] = turn("user", result(content=content, is_error=False))
    assert "error" not in claude(street, {"messages": history}).sent["messages"][2]["content"].lower()


def document(**source: Any) -> Json:
    return {"type": "document", "title": "a title", "source": source}


def test_23_documents_cross_or_are_refused(street: Street) -> None:
    pdf = document(type="base64", media_type="application/pdf", data=PDF)
    sent = claude(street, {"messages": [turn("user", pdf, words("sum up"))]}).sent["messages"]
    file = next(part["file"] for part in sent[0]["content"] if part["type"] == "file")
    assert file["file_data"] == f"data:application/pdf;base64,{PDF}" and "a title" in file["filename"]
    plain = document(type="text", media_type="text/plain", data="the whole text")
    blocks = document(type="content", content=[words("one part"), IMAGE])
    sent = claude(street, {"messages": [turn("user", plain, blocks)]}).sent["messages"]
    said = json.dumps(sent)
    assert "the whole text" in said and "a title" in said and "one part" in said and PNG in said
    for gone in (document(type="file", file_id="file_1"), document(type="url", url="https://a.example/b.pdf")):
        reply = claude(street, {"messages": [turn("user", gone)]})
        assert reply.status == 400 and reply.request is None and "document" in reply.error["message"]


def test_23_documents_of_tool_results(street: Street) -> None:
    pdf = document(type="base64", media_type="application/pdf", data=PDF)
    history = [USER, turn("assistant", use()), turn("user", result(content=[words("pages"), pdf]))]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "user"] and PDF in json.dumps(sent[3])


def test_23_context_of_a_document_is_not_lost(street: Street) -> None:
    plain = document(type="text", media_type="text/plain", data="the text") | {"context": "from the archive"}
    reply = claude(street, {"messages": [turn("user", plain)]})
    assert "from the archive" in json.dumps(reply.sent) or "context" in reply.dropped


def test_23_files_of_chat_clients(street: Street) -> None:
    def file(**inner: Any) -> Json:
        return {"messages": [turn("user", {"type": "file", "file": inner}, words("sum up"))]}

    sent = gpt(street, file(filename="a.pdf", file_data=f"data:application/pdf;base64,{PDF}")).sent["messages"]
    block = sent[0]["content"][0]
    assert block["source"] == {"type": "base64", "media_type": "application/pdf", "data": PDF}
    assert block["title"] == "a.pdf"
    text = base64.b64encode(b"the whole text").decode()
    for media_type in ("text/plain", "text/csv", "application/json"):
        sent = gpt(street, file(filename="a.txt", file_data=f"data:{media_type};base64,{text}")).sent["messages"]
        source = sent[0]["content"][0]["source"]
        assert source == {"type": "text", "media_type": "text/plain", "data": "the whole text"}
    for inner in ({"file_id": "file-1"}, {"file_data": "data:application/zip;base64,UEs="}):
        reply = gpt(street, file(**inner))
        assert reply.status == 400 and reply.request is None and reply.error["message"]
    audio = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    reply = gpt(street, {"messages": [turn("user", audio)]})
    assert reply.status == 400 and "audio" in reply.error["message"]


# ------------------------------------------------------------------------------ 27, 28: "" and system


def test_27_no_empty_content(street: Street) -> None:
    history = [USER, turn("assistant", use()), turn("user", result(content=""))]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert sent[1]["content"] is None and sent[1]["tool_calls"] and sent[2]["content"]
    history = [USER, calls(function("look"), content=""), answered(content="")]
    sent = gpt(street, {"messages": history}).sent["messages"]
    assert [b["type"] for b in sent[1]["content"]] == ["tool_use"]
    assert sent[2]["content"][0].get("content") != ""
    empty = [USER, {"role": "assistant", "content": ""}, {"role": "user", "content": "two"}]
    for ask in (claude, gpt):
        sent = ask(street, {"messages": empty}).sent["messages"]
        assert [m["role"] for m in sent] == ["user"] and "go" in json.dumps(sent) and "two" in json.dumps(sent)
    for system in ("", [], [words("")]):
        sent = claude(street, {"system": system}).sent["messages"]
        assert [m["role"] for m in sent] == ["user"]
    sent = gpt(street, {"messages": [{"role": "system", "content": ""}, USER]}).sent
    assert "system" not in sent
    for ask in (claude, gpt):
        reply = ask(street, {"messages": [{"role": "user", "content": ""}]})
        assert reply.request is None or '""' not in json.dumps(reply.sent["messages"])
        assert reply.status in (200, 400)


MIDWAY = {"role": "system", "content": [words("be brief") | {"cache_control": {"type": "ephemeral"}}]}


@pytest.mark.parametrize("place", ["before", "between", "after results", "last"])
def test_28_system_in_mid_conversation(street: Street, place: str) -> None:
    history = {
        "before": [MIDWAY, USER],
        "between": [USER, MIDWAY, turn("assistant", words("hm")), USER],
        "after results": [USER, turn("assistant", use()), turn("user", result()), MIDWAY],
        "last": [USER, MIDWAY | {"content": "be brief", "output_config": {"effort": "medium"}}],
    }[place]
    reply = claude(street, {"system": "first of all", "messages": history})
    sent = reply.sent["messages"]
    assert sent[0]["role"] == "system" and "first of all" in sent[0]["content"]
    assert "be brief" in json.dumps(sent) and [m["role"] for m in sent].count("system") == 1
    pairs_hold("chat", sent)
    assert ("cache_control" in reply.dropped) == ("cache_control" in json.dumps(history))
    assert reply.sent.get("reasoning_effort") == ("medium" if place == "last" else None)


@pytest.mark.parametrize("role", ["system", "developer"])
def test_28_instructions_of_chat_clients_wherever_they_stand(street: Street, role: str) -> None:
    history = [{"role": role, "content": "first of all"}, USER, {"role": role, "content": "be brief"}]
    sent = gpt(street, {"messages": history}).sent
    assert sent["system"] == "first of all" and [m["role"] for m in sent["messages"]] == ["user"]
    assert "be brief" in json.dumps(sent["messages"])
    only = gpt(street, {"messages": history[:1]})
    assert only.status == 400 or only.sent["messages"]


def test_28_on_passthrough_it_stays_where_it_is(street: Street) -> None:
    body = ASK | {"messages": [USER, MIDWAY]}
    assert street.ask("messages", "messages", body, OK_MESSAGES).sent == body
