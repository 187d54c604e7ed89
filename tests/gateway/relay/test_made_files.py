"""Files that a model's code has written, where there are several clients: the reply that names one says whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.relay.test_own_files import ANN, BOB, CLIENTS
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

MADE = "file_made_by_code"
TOOL = {"type": "code_execution_20250825", "name": "code_execution"}
ASK = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "plot"}], "tools": [TOOL]}
OUTPUT = {"type": "bash_code_execution_output", "file_id": MADE}
RESULT = {"type": "bash_code_execution_tool_result", "tool_use_id": "s", "content": {
    "type": "bash_code_execution_result", "stdout": "", "return_code": 0, "content": [OUTPUT]}}  # fmt: skip
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"content": [OUTPUT]}}
TEXT = {"type": "text", "text": json.dumps(RESULT)}


def reply(block: dict[str, Any]) -> dict[str, Any]:
    return {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [block],
            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip


def streamed(block: dict[str, Any]) -> Iterator[bytes]:
    events = [
        {"type": "message_start", "message": reply(block) | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    for event in events:
        raw = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        yield from (raw[:90], raw[90:])


def upstream(block: dict[str, Any]) -> Upstream:
    def answer(request: Request) -> Answer:
        if request.path.startswith("/files") or request.path.startswith("/v1/files"):
            return Answer.json({"id": MADE, "type": "file"})
        return Answer.sse(list(streamed(block))) if request.json.get("stream") else Answer.json(reply(block))

    return Upstream(answer)


def house(up: Upstream) -> House:
    lines = f"[upstream up]\nprotocol = messages\nbase_url = {up.url}\nkeys = sk-up-0123456789, sk-other-0123456789\n"
    return House(f"{lines}[models]\n* = up\n{CLIENTS}")


def key(of: str) -> dict[str, str]:
    return {"x-api-key": of, "anthropic-version": "2023-06-01", "anthropic-beta": "files-api-2025-04-14"}


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_the_clients_whose_reply_names_it(*, stream: bool) -> None:
    with upstream(RESULT) as up, house(up) as at:
        assert at.request("GET", f"/v1/files/{MADE}", headers=key(ANN))[0] == 404, "nobody has made it yet"
        status, _, raw = at.post("/v1/messages", ASK | {"stream": stream}, key(ANN))
        assert status == 200 and MADE.encode() in raw
        used = up.requests[-1].headers["x-api-key"]
        for path in (f"/v1/files/{MADE}", f"/v1/files/{MADE}/content"):
            assert at.request("GET", path, headers=key(ANN))[0] == 200
            assert up.requests[-1].headers["x-api-key"] == used, "only the key that has made it has it"
            assert at.request("GET", path, headers=key(BOB))[0] == 404
        part = {"type": "container_upload", "file_id": MADE}
        ask = ASK | {"messages": [{"role": "user", "content": [part]}]}
        assert at.post("/v1/messages", ask, key(ANN))[0] == 200
        assert at.post("/v1/messages", ask, key(BOB))[0] == 404


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("block", [CALL, TEXT], ids=["a call", "a text"])
def test_what_a_client_has_the_model_say_gives_it_no_file(block: dict[str, Any], *, stream: bool) -> None:
    with upstream(block) as up, house(up) as at:
        assert at.post("/v1/messages", ASK | {"stream": stream}, key(BOB))[0] == 200
        assert at.request("GET", f"/v1/files/{MADE}", headers=key(BOB))[0] == 404


def test_a_file_that_is_known_stays_its_clients() -> None:
    with upstream(RESULT) as up, house(up) as at:
        for of in (ANN, BOB):
            assert at.post("/v1/messages", ASK, key(of))[0] == 200
        assert at.request("GET", f"/v1/files/{MADE}", headers=key(ANN))[0] == 200
        assert at.request("GET", f"/v1/files/{MADE}", headers=key(BOB))[0] == 404
