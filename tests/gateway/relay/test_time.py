"""How long sounds, files and their uploads may take: what flows is a stream, and an upload takes its client's time."""

from __future__ import annotations

import time

import pytest

from tests.gateway.relay.test_form import END, part
from tests.gateway.relay.test_relay import FORM, HEARD, PATHS, begins, settings
from tests.support.house import Cut, House
from tests.support.script import Answer, Gate, Upstream

SOON = "[timeouts]\nrequest = 0.5\nidle = 5\nstream = 20\n"
LONGER_S = 0.8
SPEECH = "/v1/audio/speech"
SAY = {"model": "w", "input": "hi", "voice": "alloy"}
EVENTS = b'data: {"type":"speech.audio.delta","audio":"AAAA"}\n\n', b'data: {"type":"speech.audio.done"}\n\n'
KINDS = {"audio/mpeg": (b"ID3", b"\0" * 100), "text/event-stream": EVENTS, "application/octet-stream": (b"a", b"b")}


def streams(kind: str, gate: Gate) -> Answer:
    first, last = KINDS[kind]
    return Answer(200, {"Content-Type": kind}, [first, gate, last], framing="chunked")


@pytest.mark.parametrize("kind", KINDS)
def test_what_flows_may_take_longer_than_a_reply_that_is_not_streamed(kind: str) -> None:
    gate = Gate()
    with Upstream([streams(kind, gate)]) as up, House(settings(up, SOON)) as house, house.connect() as client:
        client.send("POST", SPEECH, SAY)
        assert client.head()[0] == 200
        time.sleep(LONGER_S)
        gate.open()
        assert b"".join(client.pieces()).endswith(KINDS[kind][1])


def test_a_sound_that_falls_silent_is_ended() -> None:
    gate = Gate()
    patience = "[timeouts]\nrequest = 60\nidle = 0.5\n"
    with Upstream([streams("audio/mpeg", gate)]) as up, House(settings(up, patience)) as house:
        with house.connect() as client:
            client.send("POST", SPEECH, SAY)
            assert client.head()[0] == 200
            with pytest.raises((Cut, OSError)):
                b"".join(client.pieces())
            house.wait(lambda p: not p.service.flows)
        gate.open()


@pytest.mark.parametrize("chunked", [True, False])
def test_an_upload_takes_the_time_that_its_client_needs(chunked: bool) -> None:
    rest = b"x" * 3000 + b"\r\n" + END
    lead = part(b"model", b"w") + part(b"file", b"", b'; filename="a"')[:-2]
    with Upstream([Answer.json(HEARD)]) as up, House(settings(up, SOON)) as house, house.connect() as client:
        assert begins(client, None if chunked else len(lead + rest)) == lead
        for piece in (lead + rest[:1000], rest[1000:2000], rest[2000:]):
            client.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            time.sleep(LONGER_S / 2)
        client.socket.sendall(b"0\r\n\r\n" if chunked else b"")
        assert client.reply()[0] == 200


def test_and_the_reply_to_it_has_the_usual_time() -> None:
    with Upstream([Answer.silence()]) as up, House(settings(up, SOON + "[retry]\nmax_attempts = 1\n")) as house:
        status, _, got = house.post(PATHS[0], part(b"model", b"w") + END, FORM)
        assert status == 504 and b"[timeouts]" in got and b"request" in got
