"""What is no reply under a good status lets the next target answer, as for every other endpoint."""

from __future__ import annotations

import json

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import house_text

SPEECH = ("/v1/audio/speech", {"model": "m", "input": "x", "voice": "v"}, None)
TEXT = (
    "/v1/audio/transcriptions",
    b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--X--\r\n',
    {"Content-Type": "multipart/form-data; boundary=X", "Authorization": "Bearer any"},
)
GOOD = {SPEECH[0]: Answer(200, {"Content-Type": "audio/mpeg"}, b"SOUND"), TEXT[0]: Answer.json({"text": "hello"})}
BUSY = {"error": {"message": "try later", "type": "overloaded_error"}}

NO_REPLY = {
    "an error": (Answer.json(BUSY), 503),
    "nothing": (Answer(200, {"Content-Type": "application/json"}, b""), 502),
    "an empty object": (Answer.json({}), 502),
    "no sound": (Answer(200, {"Content-Type": "audio/mpeg"}, b"", framing="length"), 502),
    "204": (Answer(204, {}, b"", framing="eof", end="close"), 502),
    "a redirect": (Answer(302, {"Location": "/login"}, b""), 502),
}


@pytest.mark.parametrize("asked", [SPEECH, TEXT], ids=["speech", "transcription"])
@pytest.mark.parametrize("name", NO_REPLY)
def test_the_next_target_answers(name: str, asked) -> None:
    answer, _ = NO_REPLY[name]
    with Upstream([answer]) as a, Upstream([GOOD[asked[0]]]) as b:
        with House(house_text("* = a, b", a=a.url, b=b.url)) as house:
            status, _, said = house.post(*asked)
        assert (len(a.requests), len(b.requests)) == (1, 1)
    assert status == 200 and (said == b"SOUND" or json.loads(said) == {"text": "hello"})


@pytest.mark.parametrize("name", NO_REPLY)
def test_where_nobody_else_answers_it_is_an_error_and_no_success(name: str) -> None:
    answer, status = NO_REPLY[name]
    with Upstream([answer]) as a, House(house_text("* = a", a=a.url) + "[retry]\nbackoff = 0\n") as house:
        got, headers, said = house.post(*SPEECH)
    assert got == status and headers["content-type"] == "application/json"
    assert json.loads(said)["error"]["message"]


def test_the_text_of_silence_is_a_reply() -> None:
    silence = Answer(200, {"Content-Type": "text/plain"}, b"", framing="length")
    with Upstream([silence]) as a, House(house_text("* = a", a=a.url)) as house:
        status, _, said = house.post(*TEXT)
        assert len(a.requests) == 1
    assert (status, said) == (200, b"")
