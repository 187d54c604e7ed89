"""Files, audio and images: their bodies pass through as they come, and all else is as for every request."""

from __future__ import annotations

import gc
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anthropic
import openai
import pytest

from gateway.relay.incoming import Coming
from gateway.relay.intake import Intake
from gateway.relay.relay import Relay
from gateway.relay.upload import AHEAD_BYTES, KEPT_BYTES, Upload
from tests.gateway.relay.test_form import END, part
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream

FORM = {"Content-Type": "multipart/form-data; boundary=XyZ", "Authorization": "Bearer any"}
SOUND = part(b"file", b"RIFF" * 10, b'; filename="a.wav"\r\nContent-Type: audio/wav')
HEARD = {"text": "hello", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 5, "total_tokens": 19}}
PATHS = ["/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits", "/v1/images/variations"]
SOON = "[server]\ndrain_seconds = 0\n"
QUICK = "[retry]\nbackoff = 0.01\nmax_backoff = 0.02\n"
CLIENTS = "[client ann]\nkey = ann-key-000000001\n[client bob]\nkey = bob-key-000000002\n"


def form(model: bytes = b"w", first: bool = False) -> bytes:
    named = part(b"model", model)
    return (named + SOUND if first else SOUND + named) + END


def settings(up: Upstream, more: str = "", models: str = "w = up/real\nc = claude\n") -> str:
    claude = "[upstream claude]\nprotocol = messages\nbase_url = http://127.0.0.1:9\n"
    return f"[upstream up]\nprotocol = chat\nbase_url = {up.url}\n{claude}[models]\n{models}{more}"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("path", PATHS)
def test_a_form_goes_to_the_upstream_of_its_model(path: str, first: bool) -> None:
    """With the upstream's name for it, and not a byte else is changed."""
    with Upstream([Answer.json(HEARD)]) as up, House(settings(up)) as house:
        status, headers, got = house.post(path, form(first=first), FORM)
        records = house.get("/metrics")[2].decode()
    (request,) = up.requests
    assert status == 200 and json.loads(got) == HEARD and headers["x-proxy-upstream"] == "up"
    assert request.path == path and request.body == form(b"real", first)
    assert request.headers["content-type"] == FORM["Content-Type"]
    assert request.headers["content-length"] == str(len(request.body))
    assert 'type="input",upstream="up"} 14.0' in records and f'gen_ai_operation_name="{path[4:]}"' in records


def test_speech_comes_as_it_is_made() -> None:
    gate = Gate()
    reply = Answer(200, {"Content-Type": "audio/mpeg"}, [b"ID3\xff", gate, b"\0" * 100], framing="chunked")
    with Upstream([reply]) as up, House(settings(up)) as house, house.connect() as client:
        client.send("POST", "/v1/audio/speech", {"model": "w", "input": "hi", "voice": "alloy"})
        status, headers = client.head()
        pieces = client.pieces()
        assert status == 200 and headers["content-type"] == "audio/mpeg" and next(pieces) == b"ID3\xff"
        gate.open()
        assert b"".join(pieces) == bytes(100)
        assert headers["content-security-policy"] == "sandbox"
    assert up.requests[0].json == {"model": "real", "input": "hi", "voice": "alloy"}


def test_the_official_sdk(tmp_path: Path) -> None:
    def script(request: Request) -> Answer:
        if request.path == "/v1/audio/speech":
            return Answer(200, {"Content-Type": "audio/mpeg"}, b"sound")
        if request.path == "/v1/files" and request.method == "POST":
            return Answer.json({"id": "file-1", "object": "file", "bytes": 3, "created_at": 1, "filename": "x",
                                "purpose": "batch", "status": "processed"})  # fmt: skip
        if request.path.endswith("/content"):
            return Answer(200, {"Content-Type": "application/json"}, b'{"a":1}\n{"b":2}\n')
        if request.method == "DELETE":
            return Answer.json({"id": "file-1", "object": "file", "deleted": True})
        if request.path.startswith("/v1/images"):
            return Answer.json({"created": 1, "data": [{"b64_json": "eA=="}]})
        return Answer.json(HEARD)

    with Upstream(script) as up, House(settings(up), folder=tmp_path) as house:
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key="k", max_retries=0) as client:
            heard = client.audio.transcriptions.create(model="w", file=("a.wav", io.BytesIO(b"RIFF"), "audio/wav"))
            said = client.audio.speech.create(model="w", voice="alloy", input="hi").read()
            drawn = client.images.edit(model="w", image=("a.png", b"PNG"), prompt="a cat")
            made = client.files.create(file=("x.jsonl", b"{}\n"), purpose="batch")
            content = client.files.content(made.id).read()
            gone = client.files.delete(made.id)
    assert heard.text == "hello" and said == b"sound" and drawn.data is not None and drawn.data[0].b64_json == "eA=="
    assert content == b'{"a":1}\n{"b":2}\n' and gone.deleted
    paths = ["/v1/files", "/v1/files/file-1/content", "/v1/files/file-1"]
    assert [request.path for request in up.requests[3:]] == paths


@pytest.mark.parametrize("what", ["", "/content"])
def test_ids_as_long_as_litellms(what: str) -> None:
    path = f"/v1/files/{'file-'.ljust(400, 'a')}={what}"
    with Upstream(lambda _: Answer.json({"id": "x"})) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.get(path, {"x-proxy-upstream": "up"})[0] == 200
        assert [request.path for request in up.requests] == [path]


# ------------------------------------------------------------------------------------------ bounded memory


class Sink:
    """An upstream that reads no more than it is told to. got: bytes of the request."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.got = b""

    def accept(self) -> None:
        self.socket.settimeout(10)
        self.connection = self.socket.accept()[0]
        self.connection.settimeout(10)

    def read(self, size: int) -> None:
        while size > 0 and (data := self.connection.recv(min(size, 65536))):
            self.got += data
            size -= len(data)

    def close(self) -> None:
        self.connection.close()
        self.socket.close()


@contextmanager
def sink() -> Iterator[Sink]:
    made = Sink()
    try:
        yield made
    finally:
        made.close()


def begins(client: Any, length: int | None, first: bool = True) -> bytes:
    head = part(b"model", b"w") if first else b""
    head += part(b"file", b"", b'; filename="a"')[:-2]
    framing = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    lines = "".join(f"{name}: {value}\r\n" for name, value in FORM.items())
    client.socket.sendall(f"POST {PATHS[0]} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n{lines}\r\n".encode())
    return head


def test_an_upload_reaches_the_upstream_before_it_is_whole() -> None:
    with sink() as up, House(SOON + settings(up)) as house, house.connect() as client:  # type: ignore[arg-type]
        begun = begins(client, 1_000_000)
        client.socket.sendall(begun + b"first")
        up.accept()
        until = time.monotonic() + 10
        while b"first" not in up.got and time.monotonic() < until:
            up.read(1)
        assert b"first" in up.got and b"Content-Length: 1000003" in up.got


def test_an_upload_without_a_length_is_sent_in_chunks() -> None:
    with Upstream([Answer.json(HEARD)]) as up, House(settings(up)) as house, house.connect() as client:
        body = begins(client, None) + b"x" * 3000 + b"\r\n" + END
        for at in range(0, len(body), 1000):
            piece = body[at : at + 1000]
            client.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.socket.sendall(b"0\r\n\r\n")
        assert client.reply()[0] == 200
    assert up.requests[0].body == body.replace(b"\r\n\r\nw\r\n", b"\r\n\r\nreal\r\n")


def test_a_client_that_is_quicker_than_its_upstream_waits() -> None:
    """So the proxy holds a megabyte of it, and not all."""
    most = 64 << 20
    with sink() as up, House(SOON + settings(up)) as house, house.connect() as client:  # type: ignore[arg-type]
        client.socket.settimeout(0.3)
        client.socket.sendall(begins(client, most))
        up.accept()
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < most - 1_000_000:
                sent += client.socket.send(bytes(65536))
        (relay,) = house.on_loop(lambda: list(house.proxy.service.flows))
        upload = relay._intake.upload
        assert upload._kept_size <= KEPT_BYTES and upload._ahead_size <= AHEAD_BYTES + 65536
        assert sent < most / 2


def test_a_model_that_comes_late_is_waited_for_on_disk() -> None:
    size = 3 * KEPT_BYTES
    with Upstream([Answer.json(HEARD)]) as up, House(settings(up)) as house, house.connect() as client:
        rest = part(b"model", b"w") + END
        lead = part(b"file", b"", b'; filename="a"')[:-2]
        begun = begins(client, len(lead) + size + 2 + len(rest), first=False)
        client.socket.sendall(begun + bytes(size) + b"\r\n" + rest)
        assert client.reply()[0] == 200
    assert up.requests[0].body == lead + bytes(size) + b"\r\n" + part(b"model", b"real") + END


# ------------------------------------------------------------------------------------- failures, and refusals


def test_a_small_upload_goes_elsewhere_when_its_upstream_fails() -> None:
    with Upstream([Answer.json({"error": {"message": "busy"}}, 503)]) as bad, Upstream([Answer.json(HEARD)]) as good:
        two = f"[upstream two]\nprotocol = chat\nbase_url = {good.url}\n{QUICK}"
        text = settings(bad, two, "w = up/real, two/it\n")
        with House(text) as house:
            status, headers, _ = house.post(PATHS[0], form(), FORM)
    assert status == 200 and headers["x-proxy-upstream"] == "two" and headers["x-proxy-attempts"] == "2"
    assert good.requests[0].body == form(b"it")


@pytest.mark.parametrize("answer", [Answer.json({"error": {"message": "no such voice"}}, 400), Answer.drop()])
def test_what_an_upstream_refuses_is_said(answer: Answer) -> None:
    with Upstream([answer]) as up, House(settings(up, ONCE)) as house:
        status, _, got = house.post(PATHS[0], form(), FORM)
    error = json.loads(got)["error"]
    assert (status, error["message"]) == (400, "no such voice") if answer.head else status == 502


def test_a_download_that_breaks_off_does_not_look_complete() -> None:
    reply = Answer(200, {"Content-Type": "audio/mpeg"}, b"half", framing="length", short=100, end="close")
    with Upstream([reply]) as up, House(settings(up)) as house, house.connect() as client:
        client.send("POST", "/v1/audio/speech", {"model": "w", "input": "hi"})
        with pytest.raises((OSError, Exception)):
            client.reply()
        house.wait(lambda p: not p.service.flows)


def test_a_client_that_leaves_ends_all_of_it() -> None:
    with Upstream([Answer.silence()]) as up, House(settings(up)) as house:
        with house.connect() as client:
            client.send("POST", PATHS[0], form(), FORM)
            up.wait(lambda u: len(u.requests) == 1)
        up.wait(lambda u: u.active == 0)
        house.wait(lambda p: not p.service.flows and not p.service.admission.busy and not p.service.held_bytes)


def test_a_second_model_is_never_served() -> None:
    """The upstream might believe that one, and the client may not use it."""
    rules = CLIENTS + "models = w\n"
    with Upstream([Answer.json(HEARD)]) as up, House(settings(up, rules)) as house, house.connect() as client:
        body = form(first=True).removesuffix(END) + part(b"model", b"other") + END
        client.send("POST", PATHS[0], body, FORM | {"Authorization": "Bearer bob-key-000000002"})
        status, _, got = client.reply()
        assert status == 400 and "two fields" in json.loads(got)["error"]["message"]
        assert house.post(PATHS[0], form(b"up/x"), FORM | {"Authorization": "Bearer bob-key-000000002"})[0] == 403
        house.wait(lambda p: not p.service.flows)
    assert not up.requests


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        (PATHS[0], form(b"c"), FORM, 404, "leads to claude. Upstreams with it: up"),
        (PATHS[0], SOUND + END, FORM, 400, "model: field required"),
        (PATHS[0], {"model": "w"}, {}, 415, "takes a form"),
        ("/v1/audio/speech", {"input": "x"}, {}, 400, "model"),
        (PATHS[0], form(), {"Content-Type": FORM["Content-Type"]}, 415, "any key along with it"),
        (PATHS[0], form(), FORM | {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        (PATHS[0], form(), {"Content-Type": "multipart/form-data", "Authorization": "x"}, 400, "boundary"),
    ],
)
def test_what_cannot_be_relayed_is_refused_before_it_goes(
    path: str, body: Any, headers: dict[str, str], status: int, words: str
) -> None:
    with Upstream([]) as up, House(settings(up)) as house:
        got, _, raw = house.post(path, body, headers)
        house.wait(lambda p: not p.service.flows)
    assert got == status and words in json.loads(raw)["error"]["message"] and not up.requests


def test_other_methods_and_a_bound() -> None:
    with Upstream([]) as up, House(settings(up, "[limits]\nupload_mb = 1\n")) as house:
        assert house.get(PATHS[0])[0] == 405 and house.request("PUT", "/v1/files")[0] == 405
        status, _, raw = house.post(PATHS[0], SOUND + bytes(1 << 20) + form(), FORM)
    assert status == 413 and b"upload_mb" in raw


def test_an_upload_that_stalls_is_told() -> None:
    with Upstream([]) as up, House("[server]\nbody_timeout = 1\n" + settings(up)) as house, house.connect() as client:
        client.socket.sendall(begins(client, 1000, first=False))
        status, _, raw = client.reply()
    assert status == 408 and b"body_timeout" in raw


def test_the_proxy_ends_while_an_upload_runs() -> None:
    with Upstream([]) as up, House(SOON + settings(up)) as house:
        client = house.connect()
        client.socket.sendall(begins(client, 1000))
        house.wait(lambda p: len(p.service.flows) == 1)
        ending = threading.Thread(target=house.__exit__, args=(None, None, None))
        ending.start()
        assert client.reply()[0] == 503
        client.socket.close()
        ending.join()


# ------------------------------------------------------------------------------------------------- files


def new_file(id: str) -> Answer:
    return Answer.json({"id": id, "object": "file"})


FILE = part(b"purpose", b"batch") + SOUND + END


def key(of: str) -> dict[str, str]:
    return FORM | {"Authorization": f"Bearer {of}-key-00000000{1 if of == 'ann' else 2}"}


def test_a_client_cannot_see_the_files_of_another(tmp_path: Path) -> None:
    rows = [{"id": id, "object": "file"} for id in ("file-a", "file-b", "file-c")]

    def script(request: Request) -> Answer:
        if request.method == "POST":
            return new_file("file-a" if len(up.requests) == 1 else "file-b")
        return Answer.json({"object": "list", "data": rows} if request.path == "/v1/files" else {"id": "file-a"})

    with Upstream(script) as up, House(settings(up, CLIENTS), folder=tmp_path) as house:
        assert house.post("/v1/files", FILE, key("ann"))[0] == 200 == house.post("/v1/files", FILE, key("bob"))[0]
        seen = {who: json.loads(house.get("/v1/files", key(who))[2])["data"] for who in ("ann", "bob")}
        assert [row["id"] for row in seen["ann"]] == ["file-a"] and [row["id"] for row in seen["bob"]] == ["file-b"]
        asked = len(up.requests)
        for method, path in [("GET", "file-a"), ("DELETE", "file-a"), ("GET", "file-a/content"), ("GET", "file-c")]:
            assert house.request(method, f"/v1/files/{path}", None, key("bob"))[0] == 404
        assert len(up.requests) == asked and house.get("/v1/files/file-a", key("ann"))[0] == 200


def test_where_several_have_files_a_header_names_one() -> None:
    with Upstream([new_file("file-1")]) as one, Upstream([new_file("file-2")]) as two:
        more = f"[upstream two]\nprotocol = responses\nbase_url = {two.url}\n"
        with House(settings(one, more)) as house:
            status, _, raw = house.post("/v1/files", FILE, FORM)
            assert status == 400 and b"X-Proxy-Upstream" in raw and b"up, two" in raw
            for name, status in (("two", 200), ("claude", 404), ("nobody", 404)):
                assert house.post("/v1/files", FILE, FORM | {"X-Proxy-Upstream": name})[0] == status
            assert house.get("/v1/files/file-2", FORM)[0] == 200  # it is known where that one is
        with House(settings(one, more + "files = true\n")) as house:
            assert house.post("/v1/files", FILE, FORM)[1]["x-proxy-upstream"] == "two"
    assert len(two.requests) == 3 and "x-proxy-upstream" not in two.requests[0].headers


@pytest.mark.parametrize(
    ("rule", "status"), [("upstreams = up", 200), ("upstreams = claude", 403), ("models = w", 403)]
)
def test_a_client_may_use_what_its_section_says(rule: str, status: int) -> None:
    """Who is bound to some models has no files: with them an upstream could be asked for others."""
    with Upstream([new_file("file-1")]) as up, House(settings(up, f"{CLIENTS}{rule}\n")) as house:
        got, _, raw = house.post("/v1/files", FILE, key("bob"))
    assert got == status and (status == 200 or b"client 'bob' may not use files" in raw)


def test_anthropics_clients_have_anthropics_files() -> None:
    with Upstream([new_file("file_1")]) as claude, Upstream([]) as up:
        text = settings(up).replace("http://127.0.0.1:9", claude.url)
        said = FORM | {"anthropic-version": "2023-06-01", "x-api-key": "k", "anthropic-beta": "files-api-2025-04-14"}
        with House(text) as house:
            assert house.post("/v1/files", FILE, said)[1]["x-proxy-upstream"] == "claude"
    assert claude.requests[0].headers["anthropic-beta"] == "files-api-2025-04-14" and not up.requests


def test_anthropics_sdk_lists_files_by_all_that_it_can_ask_for() -> None:
    """Its pages go by a cursor in `page`."""
    row = {"type": "file", "filename": "x", "mime_type": "text/plain", "size_bytes": 1,
           "created_at": "2026-01-01T00:00:00Z"}  # fmt: skip

    def script(request: Request) -> Answer:
        last = "page=" in request.path or "ids" in request.path
        page = {"data": [row | {"id": f"file_{len(up.requests)}"}], "next_page": None if last else "page_2"}
        return Answer.json(page)

    with Upstream(script) as up, House(one_upstream(up.url, "messages")) as house:
        client = anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0)
        every = [file.id for file in client.beta.files.list(limit=1, scope_id="session_1")]
        some = [file.id for file in client.beta.files.list(ids=["file_a", "file_b"])]
        client.close()
    assert (every, some) == (["file_1", "file_2"], ["file_3"])
    asked = [parse_qs(request.path.partition("?")[2]) for request in up.requests]
    first = {"limit": ["1"], "scope_id": ["session_1"]}
    assert asked == [first, first | {"page": ["page_2"]}, {"ids[]": ["file_a", "file_b"]}]


def test_no_upstream_has_files() -> None:
    text = "[upstream claude]\nprotocol = messages\nbase_url = http://127.0.0.1:9\n"
    with House(text) as house:
        status, _, raw = house.get("/v1/files", FORM)
    assert status == 404 and b"[upstream NAME] files" in raw


def test_a_request_leaves_nothing_behind() -> None:
    """Nothing of it waits for the collector."""

    def ours() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, Relay | Intake | Upload | Coming)]

    with Upstream(lambda r: Answer.json(HEARD)) as up, House(settings(up)) as house:
        house.post(PATHS[0], form(), FORM)
        house.wait(lambda p: not p.service.flows)
        gc.collect()
        gc.disable()
        try:
            for body in (form(), SOUND + END, form(b"c")):
                house.post(PATHS[0], body, FORM)
                house.post("/v1/audio/speech", {"model": "w", "input": "x"})
            house.wait(lambda p: not p.service.flows and not p._server._connections)
            assert house.on_loop(ours) == []
        finally:
            gc.enable()


@pytest.mark.parametrize(("coding", "status"), [("identity", 200), ("", 200), ("gzip", 415)])
def test_a_form_that_says_it_is_not_compressed_is_none_that_is(coding: str, status: int) -> None:
    with Upstream(lambda r: Answer.json(HEARD)) as up, House(settings(up)) as house:
        assert house.post(PATHS[0], form(), FORM | {"Content-Encoding": coding})[0] == status
        assert all("content-encoding" not in request.headers for request in up.requests)


STREAMED = {"/v1/audio/speech": ({"model": "w", "input": "hi"}, {}), PATHS[0]: (form(), FORM), PATHS[2]: (form(), FORM)}
SECRET = b"sk-up-0123456789abcdef"


@pytest.mark.parametrize("path", STREAMED)
@pytest.mark.parametrize("end", [b"\n\n", b""])
@pytest.mark.parametrize("cut", [0, 1, 9, len(SECRET) - 1, len(SECRET)])
def test_an_error_within_events_tells_no_key(path: str, end: bytes, cut: int) -> None:
    """Wherever the pieces are cut. What is no error passes as it comes."""
    gate, delta = Gate(), b'data: {"type":"delta"}\n\n'
    said = delta + b'data: {"error":{"message":"bad key %b, sorry"}}' % SECRET + end
    at = said.index(SECRET) + cut
    reply = Answer(200, {"Content-Type": "text/event-stream"}, [said[:at], gate, said[at:]], framing="chunked")
    with Upstream([reply]) as up:
        own = f"base_url = {up.url}\n"
        with (
            House(settings(up).replace(own, f"{own}api_key = {SECRET.decode()}\n")) as house,
            house.connect() as client,
        ):
            client.send("POST", path, *STREAMED[path])
            assert client.head()[0] == 200
            pieces = client.pieces()
            first = next(pieces)
            gate.open()
            rest = b"".join(pieces)
    assert first == delta and SECRET not in rest and rest.endswith(b', sorry"}}' + end)
