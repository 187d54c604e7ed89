"""Row 8: streams come as they are written, and are never silent for long. See README.md in this folder."""

from __future__ import annotations

import base64
import json

import pytest
from botocore.eventstream import EventStreamBuffer

from tests.gateway.contract.lanes import CLIENTS, UPSTREAMS, asking, pieces_of, settings, streaming
from tests.support.house import House
from tests.support.script import Gate, Upstream

PING = "[server]\nping_seconds = 0.1\n"
THEIRS = [b'event: ping\ndata: {"type": "ping"}\n\n', b": keep-alive\n\n"]


@pytest.mark.parametrize("upstream", ["messages", "vertex"])
def test_row_08_every_byte_of_a_stream_goes_on_pings_and_comments_too(upstream: str) -> None:
    first, second, *rest = pieces_of(upstream)
    pieces = [first, *THEIRS, second, THEIRS[1], *rest]
    with Upstream([streaming(upstream, pieces)]) as up, House(settings(up, upstream)) as house:
        status, _, raw = house.post("/v1/messages?beta=true", asking("messages", True))
    assert status == 200 and raw == b"".join(pieces)


@pytest.mark.parametrize("client", ["messages", "bedrock", "vertex"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_08_what_has_come_is_passed_on_before_the_rest_is_there(upstream: str, client: str) -> None:
    gate = Gate()
    pieces = pieces_of(upstream)
    half = len(pieces) - 2
    with Upstream([streaming(upstream, [*pieces[:half], gate, *pieces[half:]])]) as up:
        with House(settings(up, upstream)) as house, house.connect() as asked:
            asked.send("POST", CLIENTS[client][True], asking(client, True))
            assert asked.head()[0] == 200
            got = b""
            for piece in asked.pieces():
                got += piece
                if b"content_block_start" in plain(client, got):
                    break
            assert b"message_stop" not in plain(client, got)
            gate.open()
            got += asked.body()
    assert b"message_stop" in plain(client, got)


@pytest.mark.parametrize("client", ["messages", "bedrock", "vertex"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_08_silence_has_the_proxys_own_pings(upstream: str, client: str) -> None:
    """Claude Code ends a stream that is silent for 300 s; Bedrock's event stream has no pings at all."""
    gate = Gate()
    pieces = pieces_of(upstream)
    half = len(pieces) - 2
    with Upstream([streaming(upstream, [*pieces[:half], gate, *pieces[half:]])]) as up:
        with House(settings(up, upstream, PING)) as house, house.connect() as asked:
            asked.send("POST", CLIENTS[client][True], asking(client, True))
            assert asked.head()[0] == 200
            got = b""
            for piece in asked.pieces():
                got += piece
                if plain(client, got).count(b'"ping"') >= 2:
                    break
            gate.open()
            got += asked.body()
    kinds = [json.loads(line[6:])["type"] for line in plain(client, got).splitlines() if line.startswith(b"data: ")]
    assert [kind for kind in kinds if kind in ("message_start", "message_stop")] == ["message_start", "message_stop"]
    assert kinds.index("message_start") < kinds.index("ping") < kinds.index("message_stop")


def plain(client: str, raw: bytes) -> bytes:
    """What has come of a stream as server-sent events, whatever frames the client asked for."""
    if client != "bedrock":
        return raw
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    events = [base64.b64decode(json.loads(each.payload)["bytes"]) for each in buffer]
    return b"".join(b"data: %b\n\n" % event for event in events)
