"""Streams and replies: every event and every cut costs what its size is, on every lane."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.passing.passthrough import Passthrough
from gateway.passing.usage_chunk import UsageChunk
from tests.linear.work import grows_linearly
from translate import pair
from translate.streams import sse
from translate.target import Asked, Policy, Protocol

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")


def event(data: Any) -> bytes:
    said = json.dumps(data).encode()
    return (b"event: %b\n" % data["type"].encode() if "type" in data else b"") + b"data: %b\n\n" % said


def chat(delta: dict[str, Any], **more: Any) -> bytes:
    return event({"id": "c", "choices": [{"index": 0, "delta": delta}], **more})


def called(i: int, **function: Any) -> bytes:
    return chat({"tool_calls": [{"index": i, "id": f"c{i}", "function": function}]})


def item(i: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "output_index": i} | more


BEGIN = event({"type": "message_start", "message": {"id": "m", "model": "m", "usage": {"input_tokens": 1}}})
CREATED = event({"type": "response.created", "response": {"id": "r"}})
CALL = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": ""}


def blocks(i: int, kind: str = "text") -> list[bytes]:
    block = {"type": "tool_use", "id": f"t{i}", "name": "f", "input": {}} if kind == "tool_use" else {"type": kind}
    return [
        event({"type": "content_block_start", "index": i, "content_block": block}),
        event({"type": "content_block_stop", "index": i}),
    ]


STREAMS: dict[str, tuple[Protocol, Callable[[int], list[bytes]]]] = {
    "chat text": ("chat", lambda n: [chat({"content": "ab"})] * n),
    "chat text that differs": ("chat", lambda n: [chat({"content": f"word {i} "}) for i in range(n)]),
    "chat text that grows": ("chat", lambda n: [chat({"content": "ab" * i}) for i in range(min(n, 300))]),
    "chat blanks": ("chat", lambda n: [chat({"content": " "})] * n),
    "chat think": ("chat", lambda n: [chat({"content": "<think>"})] + [chat({"content": "</thin"})] * n),
    "chat reasoning": ("chat", lambda n: [chat({"reasoning_content": "ab"})] * n),
    "chat calls": ("chat", lambda n: [called(i, name="f", arguments="{}") for i in range(n)]),
    "chat calls without end": ("chat", lambda n: [called(i, name="f", arguments="{") for i in range(n)]),
    "chat calls without name": ("chat", lambda n: [called(i, arguments="{}") for i in range(n)]),
    "chat arguments": ("chat", lambda n: [called(0, name="f", arguments="")] + [called(0, arguments='{"a')] * n),
    "chat arguments that end": ("chat", lambda n: [called(0, name="f"), *[called(0, arguments="{}")] * n]),
    "chat open braces": ("chat", lambda n: [called(0, name="f", arguments="{")] + [called(0, arguments='"}')] * n),
    "chat choices": ("chat", lambda n: [
        event({"choices": [{"index": i, "delta": {"content": "x"}}]}) for i in range(n)]),
    "chat annotations": ("chat", lambda n: [chat({"content": "x", "annotations": [
        {"type": "url_citation", "url_citation": {"url": f"u{i}", "title": "t"}}]}) for i in range(n)]),
    "chat usage": ("chat", lambda n: [chat({}, usage={"prompt_tokens": 1, "completion_tokens": i}) for i in range(n)]),
    "chat names": ("chat", lambda n: [chat({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})] * n),
    "messages blocks": ("messages", lambda n: [BEGIN, *(e for i in range(n) for e in blocks(i))]),
    "messages tools": ("messages", lambda n: [BEGIN, *(e for i in range(n) for e in blocks(i, "tool_use"))]),
    "messages never closed": ("messages", lambda n: [BEGIN, *(blocks(i, "tool_use")[0] for i in range(n))]),
    "messages deltas": ("messages", lambda n: [BEGIN, blocks(0)[0], *[event({
        "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ab"}})] * n]),
    "messages citations": ("messages", lambda n: [BEGIN, blocks(0)[0], *[event({
        "type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {
            "type": "char_location", "cited_text": "x", "document_index": 0}}})] * n]),
    "messages signatures": ("messages", lambda n: [BEGIN, blocks(0, "thinking")[0], *[event({
        "type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "ab"}})] * n]),
    "messages starts": ("messages", lambda n: [BEGIN] * n),
    "messages pings": ("messages", lambda n: [event({"type": "ping"})] * n),
    "responses items": ("responses", lambda n: [CREATED, *(event(item(i, "response.output_item.added", item=CALL))
                                                           for i in range(n))]),
    "responses items done": ("responses", lambda n: [CREATED, *(event(item(i, "response.output_item.done", item=CALL))
                                                                for i in range(n))]),
    "responses deltas": ("responses", lambda n: [CREATED, *[event(item(
        0, "response.output_text.delta", item_id="m", content_index=0, delta="ab"))] * n]),
    "responses parts": ("responses", lambda n: [CREATED, *(event(item(
        0, "response.output_text.delta", item_id="m", content_index=i, delta="ab")) for i in range(n))]),
    "responses parts that come whole": ("responses", lambda n: [CREATED, *(event(item(
        0, "response.output_text.done", item_id="m", content_index=i, text=f"w{i}")) for i in range(n))]),
    "responses text that is told many times": ("responses", lambda n: [CREATED, event(item(
        0, "response.output_text.delta", item_id="m", content_index=0, delta="ab " * 100 * n)), *[event(item(
            0, "response.output_text.done", item_id="m", content_index=0, text="ab"))] * n]),
    "responses messages under other names": ("responses", lambda n: [CREATED, event(item(
        0, "response.output_text.delta", item_id="m", content_index=0, delta="ab " * 100 * n)), *(event(item(
            i + 9, "response.output_item.done", item={"type": "message", "id": f"m{i}", "content": [
                {"type": "output_text", "text": "x"}]})) for i in range(n))]),
    "responses summaries that come whole": ("responses", lambda n: [CREATED, event(item(
        0, "response.reasoning_summary_text.delta", item_id="m", summary_index=0, delta="ab " * 100 * n)), *(event(item(
            0, "response.reasoning_summary_text.done", item_id="m", summary_index=i + 1, text=f"w{i}"))
            for i in range(n))]),
    "responses arguments that are told many times": ("responses", lambda n: [
        CREATED, event(item(0, "response.output_item.added", item=CALL)), event(item(
            0, "response.function_call_arguments.delta", item_id="f", delta='{"a": "' + "ab " * 100 * n)), *[event(item(
                0, "response.function_call_arguments.done", item_id="f", arguments='{"a"'))] * n]),
    "responses arguments": ("responses", lambda n: [
        CREATED, event(item(0, "response.output_item.added", item=CALL)),
        *[event(item(0, "response.function_call_arguments.delta", item_id="f", delta='{"a'))] * n]),
    "responses arguments in cipher": ("responses", lambda n: [
        CREATED, event(item(0, "response.output_item.added", item=CALL)),
        *[event(item(0, "response.function_call_arguments.delta", item_id="f", delta="Zm9v" * 50))] * (4 * n)]),
    "responses annotations": ("responses", lambda n: [CREATED, *(event(item(
        0, "response.output_text.annotation.added", item_id="m", content_index=0, annotation_index=i,
        annotation={"type": "url_citation", "url": "u"})) for i in range(n))]),
    "responses annotations that differ": ("responses", lambda n: [CREATED, event(item(
        0, "response.output_text.delta", item_id="m", content_index=0, delta="ab")), *(event(item(
            0, "response.output_text.annotation.added", item_id="m", content_index=0, annotation_index=i,
            annotation={"type": "url_citation", "url": f"u{i}"})) for i in range(n))]),
    "responses summaries": ("responses", lambda n: [CREATED, *(event(item(
        0, "response.reasoning_summary_text.delta", item_id="m", summary_index=i, delta="x")) for i in range(n))]),
    "comments": ("chat", lambda n: [b": x\n\n"] * n),
    "lines of one event": ("chat", lambda n: [b"data: x\n"] * n),
    "lines of one event, CRLF": ("chat", lambda n: [b"data: x\r\n"] * n),
    "lines of one event, CR": ("chat", lambda n: [b"data: x\r"] * n),
    "one long line": ("chat", lambda n: [b'data: {"choices":[', *[b'"aaaaaaaa",'] * n]),
    "no event at all": ("chat", lambda n: [b"x"] * n),
    "a whole reply in pieces": ("chat", lambda n: [b'{"a":[', *[b'"aaaaaaaa",'] * n]),
    "blank lines": ("chat", lambda n: [b"\n"] * n),
}  # fmt: skip
ASKED = Asked("m", "k", include_usage=True)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_crosses(name: str) -> None:
    upstream, make = STREAMS[name]
    for client in PROTOCOLS:
        for policy in (Policy(), Policy(reasoning="think_tags")):

            def run(pieces: list[bytes]) -> None:
                crossing = pair.Crossing(client, upstream, Asked("m", "k", include_usage=True, policy=policy))  # noqa: B023
                for piece in pieces:
                    crossing.feed(piece)
                crossing.end()

            grows_linearly(make, run, 500)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_passes_through(name: str) -> None:
    protocol, make = STREAMS[name]

    def run(pieces: list[bytes]) -> None:
        verbatim = Passthrough(protocol, "another", UsageChunk())
        verbatim.started = True  # what comes before the first event is bounded, and small
        for piece in pieces:
            verbatim.feed(piece)
        verbatim.end()

    grows_linearly(make, run, 5_000)


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("name", [name for name in STREAMS if "lines" not in name])
def test_a_stream_byte_by_byte(name: str, client: Protocol) -> None:
    """Half of it in one piece, the other half in pieces of a byte."""
    upstream, make = STREAMS[name]

    def cut(n: int) -> list[bytes]:
        raw = b"".join(make(n))[: n * 60]
        return [raw[: len(raw) // 2], *(raw[i : i + 1] for i in range(len(raw) // 2, len(raw)))]

    def run(pieces: list[bytes]) -> None:
        crossing = pair.Crossing(client, upstream, ASKED)
        for piece in pieces:
            crossing.feed(piece)

    grows_linearly(cut, run, 100)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_events_of_many_lines(end: bytes, size: int) -> None:
    def cut(n: int) -> list[bytes]:
        raw = (b"data: x" + end) * n
        return [raw[i : i + size] for i in range(0, len(raw), size)]

    def run(pieces: list[bytes]) -> None:
        splitter = sse.Splitter()
        for piece in pieces:
            splitter.feed(piece)
        sse.fields(splitter.rest())

    grows_linearly(cut, run, 5_000)


# ------------------------------------------------------------------------------------------- whole replies


def whole_chat(**message: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant"} | message}]}


def whole_messages(content: list[Any]) -> dict[str, Any]:
    return {"id": "m", "type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}


def whole_responses(output: list[Any]) -> dict[str, Any]:
    return {"id": "r", "object": "response", "status": "completed", "output": output}


WHOLE: dict[str, tuple[Protocol, Callable[[int], Any]]] = {
    "chat calls": ("chat", lambda n: whole_chat(content=None, tool_calls=[
        {"id": f"c{i}", "function": {"name": "f", "arguments": "{}"}} for i in range(n)])),
    "chat parts": ("chat", lambda n: whole_chat(content=[{"type": "text", "text": "x"}] * n)),
    "chat annotations": ("chat", lambda n: whole_chat(content="x" * n, annotations=[
        {"type": "url_citation", "url_citation": {"url": "u", "start_index": i, "end_index": i + 1}}
        for i in range(n)])),
    "chat reasoning": ("chat", lambda n: whole_chat(content="x", reasoning_details=[
        {"type": "reasoning.text", "text": "x"}] * n)),
    "chat choices": ("chat", lambda n: {"choices": [{"index": i, "message": {"content": "x"}} for i in range(n)]}),
    "chat choices of one reply": ("chat", lambda n: {"choices": [
        {"index": i, "finish_reason": "tool_calls", "message": {"content": "x" * 500}} for i in range(n)]}),
    "chat long text": ("chat", lambda n: whole_chat(content='<think>"\n' * n)),
    "messages texts": ("messages", lambda n: whole_messages([{"type": "text", "text": "x"}] * n)),
    "messages calls": ("messages", lambda n: whole_messages([
        {"type": "tool_use", "id": f"c{i}", "name": "f", "input": {}} for i in range(n)])),
    "messages thinking": ("messages", lambda n: whole_messages([
        {"type": "thinking", "thinking": "x", "signature": "s"}] * n)),
    "messages searches": ("messages", lambda n: whole_messages([
        part for i in range(n) for part in (
            {"type": "server_tool_use", "id": f"s{i}", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": f"s{i}", "content": [
                {"type": "web_search_result", "url": "u", "title": "t"}]})])),
    "messages citations": ("messages", lambda n: whole_messages([{"type": "text", "text": "x", "citations": [
        {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "x"}] * n}])),
    "responses messages": ("responses", lambda n: whole_responses([
        {"type": "message", "content": [{"type": "output_text", "text": "x"}]}] * n)),
    "responses parts": ("responses", lambda n: whole_responses([
        {"type": "message", "content": [{"type": "output_text", "text": "x"}] * n}])),
    "responses calls": ("responses", lambda n: whole_responses([CALL | {"call_id": f"c{i}"} for i in range(n)])),
    "responses reasoning": ("responses", lambda n: whole_responses([
        {"type": "reasoning", "id": f"r{i}", "summary": [{"type": "summary_text", "text": "x"}]} for i in range(n)])),
    "responses annotations": ("responses", lambda n: whole_responses([{"type": "message", "content": [
        {"type": "output_text", "text": "x" * n, "annotations": [
            {"type": "url_citation", "url": "u", "start_index": i, "end_index": i + 1} for i in range(n)]}]}])),
}  # fmt: skip


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("way", ["whole", "whole_as_stream"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_reply(name: str, way: str, client: Protocol) -> None:
    upstream, make = WHOLE[name]
    grows_linearly(
        lambda n: json.dumps(make(n)).encode(),
        lambda raw: getattr(pair.Crossing(client, upstream, ASKED), way)(raw),
        500,
    )
