"""Upstreams that have Messages in an envelope: for clients of all protocols, whole and streamed, good and bad."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from console.doctor import command as doctor
from tests.gateway.clouds import frames, signatures
from tests.gateway.clouds.frames import TEXT
from tests.support.house import ONCE, House
from tests.support.script import Answer, Request, Upstream

HI = [{"role": "user", "content": "hi"}]
ASK: dict[str, Any] = {"model": "m:0", "max_tokens": 50, "messages": HI}
PLACE = "region = us-east-1\nproject = p\n"


def settings(up: Upstream, preset: str = "bedrock-invoke", more: str = "api_key = key-0123456789") -> str:
    return f"[upstream up]\npreset = {preset}\n{PLACE}base_url = {up.url}\n{more}\n[models]\n* = up\n{ONCE}"


def drips(pieces: list[bytes]) -> list[bytes | float]:
    """All of it byte by byte, as far as a server can say that."""
    data = b"".join(pieces)
    return [data[at : at + 7] for at in range(0, len(data), 7)]


FRAMES = [frames.chunk(event) for event in frames.events()]


@pytest.mark.parametrize("pieces", [FRAMES, [b"".join(FRAMES)], drips(FRAMES)])
def test_a_clients_stream_is_the_one_of_messages(pieces: list[Any]) -> None:
    with Upstream([frames.stream(pieces)]) as up, House(settings(up)) as house:
        status, headers, raw = house.post("/v1/messages", ASK | {"stream": True})
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert raw == b"".join(map(frames.said, frames.events()))
    (request,) = up.requests
    assert request.path == "/model/m:0/invoke-with-response-stream" and "anthropic-version" not in request.headers
    assert request.json == {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": HI}
    assert request.headers["authorization"] == "Bearer key-0123456789"


def test_sdks_of_all_protocols() -> None:
    with Upstream([frames.stream(FRAMES)]) as up, House(settings(up)) as house:
        with anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0) as client:
            with client.messages.stream(**ASK) as events:
                message = events.get_final_message()
        assert message.content[0].text == TEXT and message.usage.output_tokens == 5
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key="k", max_retries=0) as other:
            chunks = list(other.chat.completions.create(model="m:0", messages=HI, stream=True))
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
            *_, last = other.responses.create(model="m:0", input="hi", stream=True)
            assert last.response.output_text == TEXT and last.response.usage.input_tokens == 7
    assert all("anthropic_version" in request.json and "model" not in request.json for request in up.requests)


@pytest.mark.parametrize("preset", ["bedrock-invoke", "vertex"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
def test_whole_replies(preset: str, path: str) -> None:
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up, preset)) as house:
        body = {"model": "m:0", "input": "hi"} if path == "/v1/responses" else ASK
        status, _, raw = house.post(path, body, {"anthropic-version": "2023-06-01"})
    assert status == 200 and TEXT in json.dumps(json.loads(raw), ensure_ascii=False)
    if preset == "vertex":
        assert up.requests[0].path == "/projects/p/locations/us-east-1/publishers/anthropic/models/m:0:rawPredict"
    assert up.requests[0].json["anthropic_version"].startswith(preset.partition("-")[0])


def test_names_of_models_cannot_leave_their_place_in_the_path() -> None:
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up)) as house:
        house.post("/v1/messages", ASK | {"model": "a/..b?c#d"})
        for model in ("..", "a/../b?c#d"):
            assert house.post("/v1/messages", ASK | {"model": model})[0] == 400
    assert [request.path for request in up.requests] == ["/model/a%2F..b%3Fc%23d/invoke"]


def test_every_other_byte_of_the_body_stays() -> None:
    system, messages = b'"system":[{"type":"text",  "text":"x"}]', b'"messages":[ {"role":"user","content":"\\u00fc"}]'
    body = b'{%b,"model": "m:0","max_tokens":5, "stream":false ,%b}' % (system, messages)
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up)) as house:
        assert house.request("POST", "/v1/messages", body, {"Content-Type": "application/json"})[0] == 200
    want = b'{"anthropic_version":"bedrock-2023-05-31",%b,"max_tokens":5, %b}' % (system, messages)
    assert up.requests[0].body == want


EXCEPTIONS = [
    ("throttlingException", "rate_limit_error", 429), ("validationException", "invalid_request_error", 400),
    ("serviceUnavailableException", "overloaded_error", 529), ("internalServerException", "api_error", 500),
    ("modelStreamErrorException", "api_error", 500), ("modelTimeoutException", "timeout_error", 504),
    ("somethingNewException", "api_error", 500),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "status"), EXCEPTIONS)
def test_exceptions_of_the_stream_are_the_clients_errors(name: str, kind: str, status: int) -> None:
    bad = frames.exception(name, "that was too much")
    with Upstream([frames.stream([bad]), frames.stream([*FRAMES[:3], bad])]) as up, House(settings(up)) as house:
        got, _, raw = house.post("/v1/messages", ASK | {"stream": True})
        assert got == status and json.loads(raw)["error"] == {"type": kind, "message": "that was too much"}
        got, _, raw = house.post("/v1/messages", ASK | {"stream": True})
    last = raw.decode().rstrip().split("\n\n")[-1]
    assert got == 200 and last.startswith("event: error\n")
    assert json.loads(last.partition("data: ")[2])["error"] == {"type": kind, "message": "that was too much"}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [(429, {"message": "Too many tokens"}, "rate_limit_error"), (403, {"Message": "no access"}, "permission_error"),
     (400, {"message": "prompt is too long: 9 tokens > 8 maximum"}, "invalid_request_error"),
     (503, [{"error": {"code": 503, "message": "later", "status": "UNAVAILABLE"}}], "overloaded_error")],
)  # fmt: skip
def test_the_clouds_refusals_are_said_in_the_clients_words(path: str, status: int, said: Any, kind: str) -> None:
    with Upstream([Answer.json(said, status)]) as up, House(settings(up)) as house:
        got, _, raw = house.post(path, ASK)
    error = json.loads(raw)["error"]
    words = said.get("message") or said.get("Message") if isinstance(said, dict) else "later"
    assert words in error["message"]
    if path == "/v1/messages":
        assert error["type"] == kind and (got == status or kind == "overloaded_error")


def test_an_error_in_the_words_of_messages_goes_on_as_it_is() -> None:
    raw = b'{"type": "error", "error": {"type": "x_error", "message": "thinking signature", "safeguard": 1}}'
    answer = Answer(400, {"Content-Type": "application/json"}, raw)
    with Upstream([answer]) as up, House(settings(up, "vertex")) as house:
        status, _, got = house.post("/v1/messages", ASK)
    assert (status, got) == (400, raw)


@pytest.mark.parametrize(
    "pieces",
    [[FRAMES[0][:-1] + b"\xff"], [b"\0" * 40], [b"\xff\xff\xff\xff" * 4], [frames.chunk(b"[1]")], [frames.chunk(b"{")]],
)
def test_what_is_no_event_stream_is_an_error(pieces: list[Any]) -> None:
    with Upstream([frames.stream(pieces), frames.stream([*FRAMES[:3], *pieces])]) as up, House(settings(up)) as house:
        status, _, raw = house.post("/v1/messages", ASK | {"stream": True})
        assert status in (500, 502) and b"event stream" in raw
        status, _, raw = house.post("/v1/messages", ASK | {"stream": True})
        assert status == 200 and raw.rstrip().split(b"\n\n")[-1].startswith(b"event: error")


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_stream_that_breaks_off_ends_with_an_error(end: Any) -> None:
    with Upstream([frames.stream([*FRAMES[:4], FRAMES[4][:20]], end=end)]) as up, House(settings(up)) as house:
        status, _, raw = house.post("/v1/messages", ASK | {"stream": True})
    assert status == 200 and raw.rstrip().split(b"\n\n")[-1].startswith(b"event: error")


def test_pings_are_the_proxys_own() -> None:
    pieces = [*FRAMES[:3], 0.6, *FRAMES[3:]]
    text = settings_with(ping="0.2")
    with Upstream([frames.stream(pieces)]) as up, House(text.format(url=up.url)) as house:
        _, _, raw = house.post("/v1/messages", ASK | {"stream": True})
    assert b"event: ping" in raw and raw.count(b"message_stop") == 2


def settings_with(ping: str) -> str:
    return (
        f"[server]\nping_seconds = {ping}\n[upstream up]\npreset = bedrock-invoke\n{PLACE}base_url = {{url}}\n"
        "api_key = key-0123456789\n[models]\n* = up\n"
    )


def test_a_count_is_asked_for_in_the_clouds_form() -> None:
    with Upstream([Answer.json({"inputTokens": 42})]) as up, House(settings(up)) as house:
        status, _, raw = house.post("/v1/messages/count_tokens", {"model": "m:0", "messages": HI})
    assert status == 200 and json.loads(raw) == {"input_tokens": 42}
    assert up.requests[0].path == "/model/m:0/count-tokens"
    inner = json.loads(base64.b64decode(up.requests[0].json["input"]["invokeModel"]["body"]))
    assert inner == {"max_tokens": 1, "anthropic_version": "bedrock-2023-05-31", "messages": HI}


def test_requests_are_signed_and_a_key_that_is_over_is_had_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.credentials import minted

    monkeypatch.setattr(minted, "RETRY_S", 0.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", signatures.KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", signatures.KEYS.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", str(signatures.KEYS.token))
    over = Answer.json({"message": "The security token included in the request is expired"}, 403)
    script = [over, frames.stream(FRAMES), Answer.json(frames.whole())]
    with Upstream(script) as up, House(settings(up, "bedrock-invoke", "api_key = aws:")) as house:
        headers = {"user-agent": "x/1", "anthropic-beta": "a,  b", "X-Amzn-Trace-Id": "t", "Accept": "a;q=1,  b"}
        status, _, raw = house.post("/v1/messages", ASK | {"stream": True}, headers)
        assert status == 200 and raw.count(b"message_stop") == 2
        assert house.post("/v1/messages", ASK)[0] == 200
    for request in up.requests:
        assert "user-agent" not in signatures.check(request, "bedrock", "us-east-1")
    assert up.requests[0].headers["user-agent"] == "x/1" and "x-amzn-trace-id" not in up.requests[0].headers


@pytest.mark.parametrize("preset", ["bedrock", "claude-aws"])
def test_native_endpoints_are_signed_too(monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", signatures.KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", signatures.KEYS.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", str(signatures.KEYS.token))
    more = "api_key = aws:env\nworkspace = wrkspc_1"
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up, preset, more)) as house:
        assert house.post("/v1/messages?beta=true", ASK, {"anthropic-beta": "x"})[0] == 200
    (request,) = up.requests
    signed = signatures.check(request, "bedrock" if preset == "bedrock" else "aws-external-anthropic", "us-east-1")
    assert request.path == ("/anthropic" if preset == "bedrock" else "") + "/v1/messages?beta=true"
    assert request.headers["anthropic-workspace-id"] == "wrkspc_1" and "anthropic-workspace-id" in signed
    assert request.headers["anthropic-beta"] == "x"


def test_the_doctor_and_a_dry_run_know_of_the_envelope(tmp_path: Path) -> None:
    def answer(request: Request) -> Answer:
        if request.path.endswith("invoke-with-response-stream"):
            return frames.stream(FRAMES)
        return Answer.json({"inputTokens": 4} if request.path.endswith("count-tokens") else frames.whole())

    with Upstream(answer) as up:
        file = tmp_path / "settings.ini"
        file.write_text(settings(up))
        assert doctor.main(["--config", str(file), "--yes", "--model", "m:0", "up"]) == doctor.USABLE
        paths = {request.path for request in up.requests}
        assert paths == {f"/model/m:0/{verb}" for verb in ("invoke", "invoke-with-response-stream", "count-tokens")}
        with House(settings(up)) as house:
            shown = json.loads(house.post("/debug/translate", ASK)[2])
    assert shown["translated"]["anthropic_version"] == "bedrock-2023-05-31" and "/model/m:0/invoke" in shown["curl"]


def test_what_is_relayed_is_signed_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", signatures.KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", signatures.KEYS.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", str(signatures.KEYS.token))
    vectors = Answer.json({"object": "list", "data": [], "model": "e"})
    with Upstream([vectors]) as up, House(settings(up, "bedrock", "api_key = aws:env")) as house:
        assert house.post("/v1/embeddings", {"model": "e", "input": "x"})[0] == 200
        form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nw\r\n--b--\r\n'
        kind = {"Content-Type": "multipart/form-data; boundary=b", "Authorization": "Bearer x"}
        status, _, raw = house.request("POST", "/v1/audio/transcriptions", form, kind)
    (request,) = up.requests
    assert request.path == "/openai/v1/embeddings" and signatures.check(request, "bedrock", "us-east-1")
    assert status == 400 and "cannot be signed" in json.loads(raw)["error"]["message"]
