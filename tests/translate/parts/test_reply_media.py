"""Pictures, sounds and files in replies: each crossing shows them, or says that they were there; whole as streamed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from conformance import grammar
from tests.support import sdk_types
from translate import dialects, pair
from translate.ollama.reply import Lines
from translate.ollama.reply import whole as ollama_whole
from translate.ollama.request import of_chat
from translate.pair import Crossing
from translate.parts.foreign_parts import MOST_LEFT
from translate.parts.readable_parts import DRAWN
from translate.target import Asked, Protocol, Target

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
WAV = base64.b64encode(b"RIFF....WAVEfmt ").decode()
DATA_URL = f"data:image/png;base64,{PNG}"
CLIENTS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")
NO_PLACE = "not shown: this client's protocol has no place for it"


def gemini(*parts: dict[str, Any]) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 9}}


def chat(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": None} | message, "finish_reason": "stop"}
    return {"id": "x", "model": "up", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 9}}


def responses(*output: dict[str, Any]) -> dict[str, Any]:
    return {"id": "r", "object": "response", "status": "completed", "model": "up", "output": list(output)}


def messages(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(content), "stop_reason": "end_turn"}


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


BLOB = {"inlineData": {"mimeType": "image/png", "data": PNG}}
IMAGES: dict[Protocol, dict[str, Any]] = {
    "gemini": gemini({"text": "Here"}, BLOB, {"text": "it is"}),
    "chat": chat(content="Here", images=[{"type": "image_url", "image_url": {"url": DATA_URL}}]),
    "responses": responses(
        said("Here"), {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": PNG}
    ),
}
ALL = [(client, upstream) for upstream in IMAGES for client in CLIENTS]


def as_stream(upstream: Protocol, body: dict[str, Any]) -> bytes:
    """The reply as the upstream streams it."""
    if upstream == "gemini":
        candidate = body["candidates"][0]
        *first, last = candidate["content"]["parts"]
        pieces = [{"candidates": [{"content": {"parts": [part]}, "index": 0}]} for part in first]
        return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in [*pieces, body | gemini(last)])
    if upstream == "chat":
        choice = body["choices"][0]
        deltas = [{key: value} for key, value in choice["message"].items() if value is not None]
        chunks: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": body["usage"]})
        return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks) + b"data: [DONE]\n\n"
    stream = dialects.of(upstream).as_stream
    if stream is not None:
        return stream(body)
    crossing = Crossing(upstream, upstream, Asked("up", "u"))
    return crossing.whole_as_stream(json.dumps(body).encode())


def crossed(client: Protocol, upstream: Protocol, body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The reply, and what was left out; it is the same in all four ways that there are."""
    asked = Asked("m", "k")
    raw = json.dumps(body).encode()
    out = json.loads(Crossing(client, upstream, asked).whole(raw))
    stream = as_stream(upstream, body)
    assert json.loads(Crossing(client, upstream, Asked("m", "k")).whole(stream, streamed=True)).keys() == out.keys()
    written = Crossing(client, upstream, Asked("m", "k"))
    streamed = written.feed(stream) + written.end()
    assert written.fault is None and written.asked.left == asked.left
    if client != "gemini":
        assert sdk_types.stream_problems(client, streamed) == []
        assert sdk_types.body_problems(client, json.dumps(out).encode()) == []
    assert shown(client, gathered(client, streamed)) == shown(client, out)
    return out, asked.left


def gathered(client: Protocol, stream: bytes) -> dict[str, Any]:
    """A client's stream as its whole reply, by its own decoder."""
    body: dict[str, Any] = json.loads(Crossing(client, client, Asked("m", "k")).whole(stream, streamed=True))
    return body


def shown(client: Protocol, body: dict[str, Any]) -> list[Any]:
    """Texts, joined, and media."""
    if client == "messages":
        return ["".join(block["text"] for block in body["content"])]
    if client == "chat":
        message = body["choices"][0]["message"]
        return [message["content"] or "", message.get("images"), message.get("audio")]
    if client == "responses":
        texts = [part["text"] for item in body["output"] for part in item.get("content", [])]
        return ["".join(texts), [item["result"] for item in body["output"] if "result" in item]]
    parts = body["candidates"][0]["content"]["parts"]
    blobs = [part["inlineData"] for part in parts if "inlineData" in part]
    return ["".join(part.get("text", "") for part in parts), blobs]


@pytest.mark.parametrize(("client", "upstream"), ALL)
def test_a_picture_is_shown_or_told(client: Protocol, upstream: Protocol) -> None:
    body, left = crossed(client, upstream, IMAGES[upstream])
    text, *media = shown(client, body)
    if client == "messages":
        assert f"Here\n\n[image: image/png, {NO_PLACE}]\n" in text
        assert left == ["reply." + {"gemini": "inlineData", "chat": "image_url"}.get(upstream, "image_generation_call")]
        return
    assert text == ("Hereit is" if upstream == "gemini" else "Here") and left == []
    if client == "chat":
        assert media[0] == [{"type": "image_url", "image_url": {"url": DATA_URL}}]
    elif client == "responses":
        assert media[0] == [PNG]
    else:
        assert media[0] == [{"mimeType": "image/png", "data": PNG}]


@pytest.mark.parametrize("upstream", ["gemini", "chat"])
def test_a_picture_is_told_by_events_that_openai_has(upstream: Protocol) -> None:
    reply = Crossing("responses", upstream, Asked("m", "k"))
    raw = reply.feed(as_stream(upstream, IMAGES[upstream])) + reply.end()
    assert b"response.image_generation_call.completed" in raw and grammar.check_responses(raw) == []
    twice = raw.replace(b"image_generation_call.generating", b"image_generation_call.completed")
    assert any("image_generation_call" in problem for problem in grammar.check_responses(twice))


@pytest.mark.parametrize("client", ["messages", "responses", "gemini"])
def test_a_picture_behind_an_address_is_told_with_it(client: Protocol) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    body, left = crossed(client, "chat", chat(images=[image]))
    assert shown(client, body)[0] == "[image: https://x.test/a.png]\n" and left == ["reply.image_url"]


@pytest.mark.parametrize("client", CLIENTS)
def test_speech_is_shown_or_its_words_are(client: Protocol) -> None:
    audio = {"id": "audio_1", "data": WAV, "transcript": "Hi", "expires_at": 5}
    body, left = crossed(client, "chat", chat(audio=audio))
    text, *media = shown(client, body)
    assert text == "Hi"
    if client == "chat":
        assert media[1] == audio
    elif client == "gemini":
        assert media[0] == [{"mimeType": "audio/wav", "data": WAV}]
    assert left == ([] if client in ("chat", "gemini") else ["reply.audio"])


def test_sound_in_pieces_is_one() -> None:
    """A stream of speech: an SDK adds up numbers and joins words that come again."""
    pieces = [b"\x01\x02", b"\x03\x04\x05\x06", b"\x07\x08"]
    kind = "audio/L16;codec=pcm;rate=24000"
    parts = [{"inlineData": {"mimeType": kind, "data": base64.b64encode(piece).decode()}} for piece in pieces]
    body, left = crossed("chat", "gemini", gemini(*parts))
    audio = shown("chat", body)[2]
    assert base64.b64decode(audio["data"]) == b"".join(pieces) and left == []
    assert audio.keys() == {"id", "data", "expires_at", "transcript"}
    home, _ = crossed("gemini", "chat", body)
    assert shown("gemini", home)[1] == [{"mimeType": kind, "data": audio["data"]}]
    told, left = crossed("messages", "gemini", gemini(*parts[:1]))
    assert shown("messages", told)[0] == f"[audio: pcm16, {NO_PLACE}]\n" and left == ["reply.inlineData"]


def test_bytes_that_googles_sdk_cannot_read_are_told() -> None:
    cut = responses({"id": "i", "type": "image_generation_call", "status": "completed", "result": PNG[:7] + "..."})
    body, left = crossed("gemini", "responses", cut)
    assert shown("gemini", body) == [f"[image: image/png, {NO_PLACE}]\n", []]
    assert left == ["reply.image_generation_call"]


@pytest.mark.parametrize("client", ["messages", "chat", "responses"])
def test_what_no_protocol_has_a_place_for(client: Protocol) -> None:
    video = {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}
    file = {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.test/a"}}
    body, left = crossed(client, "gemini", gemini(video, file))
    assert shown(client, body)[0] == f"[file: video/mp4, {NO_PLACE}]\n\n\n[file: https://x.test/a]\n"
    assert left == ["reply.inlineData", "reply.fileData"]


@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
def test_what_a_provider_has_run_is_reported(client: Protocol) -> None:
    content = [
        {"type": "server_tool_use", "id": "s", "name": "bash_code_execution", "input": {"command": "ls"}},
        {"type": "bash_code_execution_tool_result", "tool_use_id": "s", "content": {"stdout": "a"}},
        {"type": "text", "text": "Done"},
        {"type": "container_upload", "file_id": "file_1"},
    ]
    body, left = crossed(client, "messages", messages(*content))
    assert shown(client, body)[0] == "Done\n\n[file: file_1]\n"
    assert left == ["reply.server_tool_use", "reply.bash_code_execution_tool_result", "reply.container_upload"]


@pytest.mark.parametrize("client", ["messages", "chat", "gemini"])
def test_so_are_items_of_openai(client: Protocol) -> None:
    code = {"id": "ci", "type": "code_interpreter_call", "status": "completed", "code": "1", "container_id": "c",
            "outputs": [{"type": "logs", "logs": "x"}, {"type": "image", "url": DATA_URL}]}  # fmt: skip
    note = {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 0}
    cited = {"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "so", "annotations": [note]}]}  # fmt: skip
    asking = {"id": "a", "type": "mcp_approval_request", "name": "n", "arguments": "{}", "server_label": "s"}
    body, left = crossed(client, "responses", responses(code, cited, asking))
    assert "so" in shown(client, body)[0]
    assert ("[image: image/png" in shown(client, body)[0]) == (client == "messages")
    assert set(left) >= {"reply.citations", "reply.mcp_approval_request"}


@pytest.mark.parametrize("client", ["messages", "chat", "responses"])
def test_a_draft_in_thoughts_is_no_answer(client: Protocol) -> None:
    body, left = crossed(client, "gemini", gemini(BLOB | {"thought": True}, {"text": "x"}))
    assert shown(client, body)[0] == "x" and PNG not in json.dumps(body) and left == ["reply.inlineData"]


@pytest.mark.parametrize("client", ["messages", "responses"])
def test_a_search_of_the_web_is_no_loss(client: Protocol) -> None:
    action = {"type": "search", "query": "q", "sources": []}
    found = responses({"type": "web_search_call", "id": "w", "status": "completed", "action": action}, said("x"))
    asked = Asked("m", "k")
    body = Crossing(client, "responses" if client == "messages" else "messages", asked)
    searched = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    ]
    out = body.whole(json.dumps(found if client == "messages" else messages(*searched)).encode())
    assert b'"q"' in out and asked.left == []


def test_ollama_has_pictures_of_its_own() -> None:
    stream = as_stream("chat", IMAGES["chat"])
    lines = Lines(generates=False)
    told = [json.loads(line) for line in (lines.feed(stream) + lines.end()).splitlines()]
    assert [each["message"]["images"] for each in told if "images" in each["message"]] == [[PNG]]
    assert json.loads(ollama_whole(stream, generates=False))["message"]["images"] == [PNG]
    one = json.loads(ollama_whole(stream, generates=True))
    assert one["image"] == PNG and one["response"] == "Here"
    address = as_stream("chat", chat(images=[{"type": "image_url", "image_url": {"url": "https://x.test/a"}}]))
    assert "[image: https://x.test/a]" in json.loads(ollama_whole(address, generates=False))["message"]["content"]


def test_what_a_model_has_drawn_comes_back_from_ollamas_clients_in_the_users_turn() -> None:
    """OpenAI takes pictures of users alone."""
    drawn = {"role": "assistant", "content": "here", "images": [PNG]}
    picture = {"type": "image_url", "image_url": {"url": DATA_URL}}
    body, left = of_chat({"model": "m", "messages": [drawn, {"role": "user", "content": "bigger"}]})
    assistant, user = body["messages"]
    assert assistant == {"role": "assistant", "content": "here"} and left == []
    assert user["content"] == [{"type": "text", "text": DRAWN}, picture, {"type": "text", "text": "bigger"}]
    [_, user] = of_chat({"model": "m", "messages": [drawn]})[0]["messages"]
    assert user == {"role": "user", "content": [{"type": "text", "text": DRAWN}, picture]}


def test_the_request_keeps_its_own_losses() -> None:
    """Both stand in one list: the one that the reply's header names."""
    assert pair.Crossing("messages", "chat", Asked("m", left=["seed"])).asked.left == ["seed"]


@pytest.mark.parametrize(("asked", "sent", "left"), [
    (["text", "image"], ["TEXT", "IMAGE"], []), (["text", "audio"], None, ["modalities"]), (["text"], None, []),
])  # fmt: skip
def test_a_chat_client_asks_google_for_pictures(asked: list[str], sent: list[str] | None, left: list[str]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "draw"}], "modalities": asked}
    encoded = pair.request("chat", "gemini", body, Target("gemini-2.5-flash-image"))
    config: Any = encoded.body.get("generationConfig", {})
    assert config.get("responseModalities") == sent and encoded.dropped == left
    elsewhere = pair.request("chat", "messages", body, Target("claude-sonnet-5")).dropped
    assert elsewhere == ([] if asked == ["text"] else ["modalities"])


def test_an_upstream_may_leave_a_lot() -> None:
    """The report is bounded, so that the work stays linear and the list short."""
    asked = Asked("m", "k")
    items = [{"type": f"kind_{n}", "id": "x"} for n in range(3 * MOST_LEFT)] + [{"type": "y" * 500}]
    Crossing("messages", "responses", asked).whole(json.dumps(responses(*items)).encode())
    assert len(asked.left) == MOST_LEFT
    one = Asked("m", "k")
    Crossing("messages", "responses", one).whole(json.dumps(responses({"type": "y" * 500})).encode())
    assert one.left == ["reply." + "y" * 64]
