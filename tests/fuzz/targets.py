"""The readers, and what each of them promises of any bytes. Whatever else one raises is a finding.

A target takes the bytes and raises nothing but the exceptions that are ours. Some check more: that a stream reads alike
however it is cut, that what is written is legal, that two readers see the same model.
"""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from conformance import grammar
from gateway.flow import outline
from gateway.http import body_decoding, framing, header_rules, json_bounds, query_string
from gateway.passing.passthrough import Passthrough
from gateway.passing.usage_chunk import UsageChunk
from gateway.refusals import scrub, strip_fields
from operate.logs.redaction import Redaction
from operate.settings import load
from operate.settings.errors import SettingsError
from tests.fuzz import mutate, seeds, sockets
from translate import dialects, pair
from translate.conversation import Event, Fault, Stop
from translate.endpoint import Endpoint, Framing
from translate.envelopes import clients, eventstream
from translate.envelopes.bedrock import BEDROCK
from translate.failures import errors
from translate.failures.errors import ApiError, BadReply
from translate.gemini.array import Elements
from translate.json import wire
from translate.ollama.endpoints import EMBEDDINGS
from translate.ollama.endpoints import ENDPOINTS as OLLAMA
from translate.streams import sse
from translate.target import Asked, Policy, Protocol, Target

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")
POLICIES = (
    Policy(), Policy(tool_schema="gemini", images=False, reasoning_history="true"), Policy(reasoning="think_tags")
)  # fmt: skip
SECRET = "sk-a-planted-secret-0123456789"
CHECKS: dict[Protocol, Callable[[bytes], list[str]]] = {
    "messages": grammar.check_messages, "chat": grammar.check_chat, "responses": grammar.check_responses,
    "gemini": grammar.check_gemini,
}  # fmt: skip


class Reader(NamedTuple):
    """run: the reader. ours: what it may raise. mutate: how inputs are made from seeds."""

    run: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    mutate: mutate.Bytes = mutate.raw
    ours: tuple[type[Exception], ...] = (ApiError,)


def cuts(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces, which depend on nothing but them."""
    rng = random.Random(zlib.crc32(data))
    at = 0
    while at < len(data):
        size = rng.choice((1, 2, 5, 30, 400, 5000))
        yield data[at : at + size]
        at += size


def events(data: bytes) -> None:
    whole, pieces = sse.Splitter(), sse.Splitter()
    one = [*whole.feed(data), whole.rest()]
    many = [*(event for piece in cuts(data) for event in pieces.feed(piece)), pieces.rest()]
    said = [[sse.fields(event) for event in each if event.strip(b"\r\n")] for each in (one, many)]
    assert said[0] == said[1], f"cut otherwise, it reads otherwise: {said}"


def model(data: bytes) -> None:
    found = outline.read(data)
    again = outline.with_model(data, found, "another")
    try:
        body = wire.loads(data)
    except ValueError:
        return
    if isinstance(body, dict) and "model" in body:
        assert body["model"] == found.model, f"{found.model!r} is read, and {body['model']!r} is sent on"
        assert wire.loads(again)["model"] == "another"
        if isinstance(body.get("stream"), bool):
            assert body["stream"] is found.stream


def members(data: bytes) -> None:
    json_bounds.check(data, 50)


def stripped(data: bytes) -> None:
    body = outline.parse(data)
    left, gone = strip_fields.without(data, ("temperature", "tools", "metadata"))
    assert wire.loads(left) == {key: value for key, value in body.items() if key not in gone}


def request(client: Protocol) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        body = outline.parse(data)
        before = wire.dumps(body)
        refused = 0
        for upstream in PROTOCOLS:
            target = Target("m", POLICIES[zlib.crc32(data) % len(POLICIES)])
            try:
                wire.loads(pair.request(client, upstream, body, target).json())
            except ApiError:
                refused += 1
        assert wire.dumps(body) == before, "the request was changed"

    return run


def count(client: Protocol) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        body = outline.parse(data)
        counting = dialects.of(client).counting
        if counting is not None:
            counting.check(body)

    return run


def reply(upstream: Protocol) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        for client in PROTOCOLS:
            for whole in ("whole", "whole_as_stream"):
                try:
                    getattr(pair.Crossing(client, upstream, _asked(data)), whole)(data)
                except ApiError:
                    continue

    return run


def decoder(upstream: Protocol) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        for policy in POLICIES[::2]:
            reader = dialects.of(upstream).decoder(policy)
            got: list[Event] = []
            for piece in cuts(data):
                got += reader.feed(piece)
            got += reader.end()
            ends = [isinstance(event, Stop | Fault) for event in got]
            assert ends.count(True) == 1 and ends[-1], f"no end, or more than one: {got[-3:]}"

    return run


def stream(upstream: Protocol) -> Callable[[bytes], None]:
    """From one protocol's bytes to another's: a legal stream that ends, or a fault before it has begun."""

    def run(data: bytes) -> None:
        for client in PROTOCOLS:
            crossing = pair.Crossing(client, upstream, _asked(data))
            out = b"".join([*map(crossing.feed, cuts(data)), crossing.end()])
            assert crossing.ended or crossing.fault is not None, "neither an end nor a fault"
            if out and client != upstream:
                problems = CHECKS[client](out)
                assert not problems, f"to {client}: {problems[:3]}"

    return run


def passed(protocol: Protocol) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        for unasked in (None, UsageChunk()):
            through = Passthrough(protocol, "another" if unasked else "", unasked)
            out = b"".join([*map(through.feed, cuts(data)), through.end()])
            if unasked is None and through.started and through.fault is None:  # else half a line stays behind
                whole_lines = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1]
                assert out.startswith(whole_lines), "bytes are lost"

    return run


def aws(data: bytes) -> None:
    """The binary stream reads alike however it is cut, and so does what Bedrock has in it."""
    said: list[tuple[bytes, list[eventstream.Message], bool]] = []
    for pieces in ([data], list(cuts(data))):
        reader, found, broken = eventstream.Decoder(), list[eventstream.Message](), False
        bedrock, out = BEDROCK.unframing, b""
        assert bedrock is not None
        events = bedrock()
        for piece in pieces:
            try:
                found += reader.feed(piece)
            except BadReply:
                broken = True
            try:
                out += events.feed(piece)
            except BadReply:
                continue
        for _ in range(2):  # what is broken is told at the next call where something came before it
            try:
                found += reader.feed(b"")
            except BadReply:
                broken = True
        said.append((out, found, broken))
    assert said[0] == said[1], f"cut otherwise, it reads otherwise: {said}"
    crossing = pair.Crossing("messages", "messages", _asked(data))
    crossing.feed(said[0][0])
    crossing.end()


def ollama_request(data: bytes) -> None:
    body = outline.parse(data)
    before = wire.dumps(body)
    for endpoint in OLLAMA:
        assert endpoint.opened is not None
        try:
            opened, _ = endpoint.opened(body)
            pair.request("chat", "messages", opened, Target("m")).json()
        except ApiError:
            continue
    for endpoint in EMBEDDINGS:
        assert endpoint.opened is not None
        with contextlib.suppress(ApiError):
            endpoint.opened(body)
    assert wire.dumps(body) == before, "the request was changed"


def ollama_embeddings(data: bytes) -> None:
    for endpoint in EMBEDDINGS:
        form = endpoint.framed({}) if endpoint.framed is not None else None
        assert form is not None
        with contextlib.suppress(BadReply):
            wire.loads(form.whole(data))


def ollama_reply(data: bytes) -> None:
    """Lines of JSON, the last of which says that it is."""
    for endpoint in OLLAMA:
        form = endpoint.framed({}) if endpoint.framed is not None else None
        assert form is not None
        lines = [wire.loads(line) for line in _framed(form.framing(), data).splitlines()]
        assert lines and all(isinstance(line, dict) for line in lines)
        ends = [bool(line.get("done") or "error" in line) for line in lines]
        assert ends.count(True) == 1 and ends[-1], f"no end, or more than one: {lines[-3:]}"
        wire.loads(form.whole(data))


def array(data: bytes) -> None:
    """A stream of ours as one array of JSON, as Google's clients may have it."""
    crossing = pair.Crossing("gemini", "chat", _asked(data))
    out = b"".join([*map(crossing.feed, cuts(data)), crossing.end()])
    if crossing.started:
        assert isinstance(wire.loads(_framed(Elements(), out)), list)


def cloud_request(data: bytes) -> None:
    for endpoint in _sealed():
        try:
            said = endpoint.unsealed(data, "m", endpoint.streams)  # type: ignore[misc]
        except ApiError:
            continue
        body, headers = said.body, said.headers
        assert not any(mark in value for value in headers.values() for mark in "\r\n\0"), "a line's end in a header"
        try:
            outline.parse(body)
        except ApiError:
            continue
        sealed = BEDROCK.sealed(body, endpoint.task, headers.get("Anthropic-Version", ""), ["a"])
        assert isinstance(wire.loads(sealed), dict)


def cloud_reply(data: bytes) -> None:
    """What a client of Bedrock's gets is what its own reader takes."""
    crossing = pair.Crossing("messages", "chat", _asked(data))
    out = b"".join([*map(crossing.feed, cuts(data)), crossing.end()])
    framed = _framed(clients.Frames(), out)
    whole = eventstream.Decoder().feed(framed) if framed else []
    assert len(whole) == sum(1 for event in out.split(b"\n\n") if b"data:" in event)


def error(data: bytes) -> None:
    for status in (200, 400, 429, 529):
        found = errors.parse(status, data)
        for dialect in dialects.every():
            wire.loads(dialect.errors.body(found, "k"))
            dialect.errors.event(found, "k")
        scrub.logged(found, b'{"messages":[{"content":"a prompt"}]}')


def head(data: bytes) -> None:
    target, headers = framing.roughly(data)
    line, headers = framing.read(data)
    assert not any(mark in text for text in (*line, *headers.values()) for mark in "\r\n\0"), "a line's end in a value"
    lines = header_rules.upstream(headers.get_all(), headers.get("Connection", ""), {}, "messages")
    assert not any(mark in text for text in lines for mark in "\r\n\0")
    url = query_string.onward("http://a.example/v1/messages", line.path.partition("?")[2])
    assert url.startswith("http://a.example/v1/messages") and url.isascii() and " " not in url
    dialects.asking(headers).errors.body(ApiError("invalid_request", target), "k")


def unpacked(data: bytes) -> None:
    for coding in ("gzip", "deflate", "zstd", "gzip, gzip"):
        unpacker = body_decoding.unpacker(coding, 50_000)
        assert unpacker is not None
        try:
            size = sum(len(made) for piece in cuts(data) for made in unpacker.feed(piece))
            unpacker.end()
        except ApiError:
            continue
        assert size <= 50_000


def settings(data: bytes) -> None:
    chosen = load.read(data.decode("utf-8", "replace"), "fuzz.ini", (), {})
    shown = "\n".join(chosen.describe())
    for secret in chosen.secrets():
        assert len(secret) < 12 or secret not in shown, "a secret is shown"


def masked(data: bytes) -> None:
    mask = Redaction([SECRET])
    for said in (mask.text(data.decode("utf-8", "replace")), mask.data(data).decode("utf-8", "replace")):
        assert SECRET not in said


READERS: dict[str, Reader] = {
    "sse": Reader(
        events, lambda: [s for p in PROTOCOLS for s in seeds.streams(p)], mutate.streamed, (sse.EventTooLarge,)
    ),
    "outline": Reader(model, lambda: [s for p in PROTOCOLS for s in seeds.requests(p)], mutate.structured),
    "outline-bytes": Reader(model, lambda: [s for p in PROTOCOLS for s in seeds.requests(p)]),
    "json-bounds": Reader(members, lambda: seeds.requests("chat")),
    "strip-fields": Reader(stripped, lambda: seeds.requests("messages"), mutate.structured),
    "error": Reader(error, lambda: [s for p in PROTOCOLS for s in seeds.replies(p)], mutate.structured),
    "head": Reader(head, seeds.heads),
    "unpack": Reader(unpacked, seeds.packed),
    "settings": Reader(settings, seeds.settings, ours=(SettingsError,)),
    "redaction": Reader(masked, lambda: [SECRET.encode(), *seeds.replies("chat")]),
    "event-stream": Reader(aws, seeds.event_streams),
    "cloud-request": Reader(cloud_request, seeds.clouds, mutate.structured),
    "cloud-reply": Reader(cloud_reply, lambda: seeds.streams("chat"), mutate.streamed),
    "ollama-request": Reader(ollama_request, seeds.ollama, mutate.structured),
    "ollama-embeddings": Reader(ollama_embeddings, seeds.embeddings, mutate.structured),
    "ollama-reply": Reader(ollama_reply, lambda: seeds.streams("chat"), mutate.streamed),
    "gemini-array": Reader(array, lambda: seeds.streams("chat"), mutate.streamed),
    "websocket-frames": Reader(sockets.frames, seeds.frames),
    "websocket-session": Reader(sockets.messages, lambda: seeds.requests("responses"), mutate.structured),
    **{f"request-{p}": Reader(request(p), lambda p=p: seeds.requests(p), mutate.structured) for p in PROTOCOLS},  # type: ignore[misc]
    **{f"count-{p}": Reader(count(p), lambda p=p: seeds.requests(p), mutate.structured) for p in PROTOCOLS},  # type: ignore[misc]
    **{f"reply-{p}": Reader(reply(p), lambda p=p: seeds.replies(p), mutate.structured) for p in PROTOCOLS},  # type: ignore[misc]
    **{f"decoder-{p}": Reader(decoder(p), lambda p=p: seeds.streams(p), mutate.streamed) for p in PROTOCOLS},  # type: ignore[misc]
    **{f"stream-{p}": Reader(stream(p), lambda p=p: seeds.streams(p), mutate.streamed) for p in PROTOCOLS},  # type: ignore[misc]
    **{f"passed-{p}": Reader(passed(p), lambda p=p: seeds.streams(p), mutate.streamed) for p in PROTOCOLS},  # type: ignore[misc]
}


def _sealed() -> Iterator[Endpoint]:
    yield from (each for each in clients.ENDPOINTS if each.unsealed is not None)


def _framed(framing: Framing, events: bytes) -> bytes:
    """Whole lines at a time, as what reads the upstream gives them."""
    lines = events.splitlines(keepends=True)
    fed = (framing.feed(b"".join(lines[at : at + 7])) for at in range(0, len(lines), 7))
    return b"".join([*fed, framing.end()])


def _asked(data: bytes) -> Asked:
    policy = POLICIES[zlib.crc32(data) % len(POLICIES)]
    return Asked("m", "k", include_usage=True, policy=policy)
