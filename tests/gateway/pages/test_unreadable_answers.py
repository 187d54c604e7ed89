"""What an upstream says about what it keeps is JSON for the client, or an error in the client's protocol: no page, no
plain text and no empty body, which its library could not read."""

from __future__ import annotations

import json

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream

KEPT = (
    "GET /v1/responses/resp_1",
    "POST /v1/responses/resp_1/cancel",
    "GET /v1/responses/resp_1/input_items",
    "GET /v1/messages/batches/msgbatch_1",
    "POST /v1/messages/batches/msgbatch_1/cancel",
    "GET /v1/batches/batch_1",
    "GET /v1beta/cachedContents/c1",
    "GET /v1/files/file_1",
)
UNREADABLE = {
    "page": (Answer(502, {"Content-Type": "text/html"}, b"<title>502 Bad Gateway</title>"), 502, "502 Bad Gateway"),
    "text": (Answer(522, {"Content-Type": "text/plain"}, b"error code: 522"), 522, "error code: 522"),
    "nothing": (Answer(500, {}, b""), 500, "empty body"),
    "a page as a success": (Answer(200, {"Content-Type": "text/html"}, b"<title>Log in</title>"), 502, "HTML page"),
    "nothing as a success": (Answer(200, {"Content-Type": "application/json"}, b""), 502, "empty body"),
}
TEXT = "[upstream up]\nprotocol = responses, chat, messages, gemini\nbase_url = %s\nfiles = true\nbatches = true\n"


@pytest.mark.parametrize("asked", KEPT)
@pytest.mark.parametrize("kind", UNREADABLE)
def test_it_is_an_error_that_the_clients_library_can_read(kind: str, asked: str) -> None:
    answer, expected, words = UNREADABLE[kind]
    method, _, path = asked.partition(" ")
    with Upstream(lambda r: answer) as up, House(TEXT % up.url + "[models]\n* = up\n") as house:
        status, headers, body = house.request(method, path, {} if method == "POST" else None, {"x-api-key": "any"})
    assert status == expected and headers["content-type"].startswith("application/json")
    assert words in json.loads(body)["error"]["message"]


def test_an_error_that_it_can_read_goes_as_it_came() -> None:
    theirs = {"error": {"message": "No response found", "type": "invalid_request_error", "extra": 1}}
    with Upstream([Answer.json(theirs, 404)]) as up, House(TEXT % up.url + "[models]\n* = up\n") as house:
        status, _, body = house.get("/v1/responses/resp_1")
    assert status == 404 and json.loads(body) == theirs
