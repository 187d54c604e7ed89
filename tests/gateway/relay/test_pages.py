"""A page for people, such as a login's, is no speech, text or picture: it is an error, and not stored as a sound."""

from __future__ import annotations

import json

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import house_text

ASK = {"model": "m", "input": "x", "prompt": "x", "voice": "v"}
FORM = b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--X--\r\n'
FORM_HEAD = {"Content-Type": "multipart/form-data; boundary=X", "Authorization": "Bearer any"}


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/images/generations", "/v1/embeddings"])
def test_a_page_is_no_reply(path: str) -> None:
    page = Answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Log in</html>")
    with Upstream([page]) as up, House(house_text("* = a", a=up.url)) as house:
        status, headers, said = house.post(path, ASK)
    assert status == 502 and b"HTML page" in said and headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/embeddings", "/v1/audio/transcriptions"])
def test_a_refusal_that_is_a_page_keeps_its_status_and_is_told_in_the_clients_words(path: str) -> None:
    page = Answer(403, {"Content-Type": "text/html"}, b"<html><title>Keep out</title></html>")
    with Upstream([page]) as up, House(house_text("* = a", a=up.url)) as house:
        sent = (FORM, FORM_HEAD) if "transcriptions" in path else (ASK, None)
        status, headers, said = house.post(path, *sent)
    assert status == 403 and headers["content-type"] == "application/json"
    assert "Keep out" in json.loads(said)["error"]["message"]
