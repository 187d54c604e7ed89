"""Every environment variable that the shipped settings.ini reads, by what it changes on the wire.

The whole proxy with the shipped file, in front of scripted upstreams that stand in for Anthropic (`a`) and OpenAI
(`o`). Where a variable sets a bound, the test also shows that nothing happens there without it.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream
from tests.test_proxy import ask, started

SHIPPED = (Path(__file__).resolve().parent.parent / "settings.ini").read_text()

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
           "content": [{"type": "text", "text": "hello from a"}],
           "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
COMPLETION = {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
              "choices": [{"index": 0, "finish_reason": "stop",
                           "message": {"role": "assistant", "content": "hello from o"}}]}  # fmt: skip
BEGUN = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
            "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                        "content": [{"type": "output_text", "text": "hello from o", "annotations": []}]}]}  # fmt: skip


def replies(request: Request) -> Answer:
    """In the protocol that was asked."""
    path = request.path
    return Answer.json(MESSAGE if "/messages" in path else RESPONSE if "/responses" in path else COMPLETION)


@contextmanager
def house(a: Upstream, o: Upstream | None = None, folder: Path | None = None, **environ: str) -> Iterator[House]:
    """The shipped settings, with Anthropic at `a` and OpenAI at `o`."""
    bases = {"UPSTREAM_BASE": a.url} | ({"OPENAI_UPSTREAM_BASE": o.url} if o else {})
    with House(SHIPPED, bases | environ, folder) as made:
        yield made


def body(model: str = "claude-opus-5-5", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]} | more


def says(at: House, model: str, **headers: str) -> str:
    """The text that a Messages client gets."""
    status, _, reply = at.post("/v1/messages", body(model), headers)
    assert status == 200, reply
    return str(json.loads(reply)["content"][0]["text"])


# ------------------------------------------------------------------------------- where to, and by which key


def test_the_bases_are_where_requests_go() -> None:
    with Upstream(replies) as a, Upstream(replies) as o, house(a, o) as at:
        assert says(at, "claude-opus-5-5") == "hello from a"
        assert says(at, "gpt-5.1") == "hello from o"
        assert (a.requests[0].path, o.requests[0].path) == ("/v1/messages", "/v1/responses")


def test_server_api_key_is_sent_to_both_and_an_own_key_goes_before_it() -> None:
    with Upstream(replies) as a, Upstream(replies) as o:
        with house(a, o, SERVER_API_KEY="server-key") as at:
            says(at, "claude-opus-5-5", Authorization="Bearer of-the-client")
            says(at, "gpt-5.1", **{"x-api-key": "of-the-client"})
        with house(a, o, SERVER_API_KEY="server-key", ANTHROPIC_API_KEY="own-a", OPENAI_API_KEY="own-o") as at:
            says(at, "claude-opus-5-5")
            says(at, "gpt-5.1")
        assert [r.headers["x-api-key"] for r in a.requests] == ["server-key", "own-a"]
        assert [r.headers["authorization"] for r in o.requests] == ["Bearer server-key", "Bearer own-o"]
        assert not any("of-the-client" in str(r.headers) for r in a.requests + o.requests)


def test_forward_client_key() -> None:
    with (
        Upstream(replies) as a,
        Upstream(replies) as o,
        house(a, o, SERVER_API_KEY="server-key", FORWARD_CLIENT_KEY="true") as at,
    ):
        says(at, "claude-opus-5-5", **{"x-api-key": "of-the-client"})
        says(at, "gpt-5.1", **{"x-api-key": "of-the-client"})
        says(at, "claude-opus-5-5")
        assert [r.headers["x-api-key"] for r in a.requests] == ["of-the-client", "server-key"]
        assert [r.headers["authorization"] for r in o.requests] == ["Bearer of-the-client"]


# ------------------------------------------------------------------------------------------ models' names


def test_model_map_json_means_exact_names() -> None:
    names = json.dumps({"gpt-4": "claude-opus-5-5", "fast": "openai/gpt-5-mini"})
    with Upstream(replies) as a, Upstream(replies) as o, house(a, o, MODEL_MAP_JSON=names) as at:
        assert says(at, "gpt-4") == "hello from a" and a.requests[0].json["model"] == "claude-opus-5-5"
        assert says(at, "fast") == "hello from o" and o.requests[0].json["model"] == "gpt-5-mini"
        assert says(at, "gpt-4x") == "hello from o"
        status, _, listed = at.get("/v1/models")
        assert status == 200 and {"gpt-4", "fast"} <= {model["id"] for model in json.loads(listed)["data"]}


def test_big_and_small_model_answer_for_claudes_names() -> None:
    with (
        Upstream(replies) as a,
        Upstream(replies) as o,
        house(a, o, BIG_MODEL="gpt-5.1", SMALL_MODEL="openai/tiny") as at,
    ):
        for name in ("claude-opus-5-5", "claude-sonnet-5", "claude-haiku-5-5"):
            assert says(at, name) == "hello from o"
        assert [r.json["model"] for r in o.requests] == ["gpt-5.1", "gpt-5.1", "tiny"]
        assert says(at, "claude-other-1") == "hello from a"


def test_a_claude_name_that_goes_nowhere_says_what_to_set() -> None:
    with Upstream(replies) as o, House(SHIPPED, {"OPENAI_UPSTREAM_BASE": o.url}) as at:
        for name, variable in (("claude-sonnet-5", "BIG_MODEL"), ("claude-haiku-5-5", "SMALL_MODEL")):
            status, _, reply = at.post("/v1/messages", body(name))
            words = json.loads(reply)["error"]["message"]
            assert status == 404 and "ANTHROPIC_API_KEY" in words and variable in words and "openai/MODEL" in words


# ---------------------------------------------------------------------------------------------- the pool


class Held:
    """A script that holds every reply back; gates: one a request, in the order of arrival."""

    def __init__(self) -> None:
        self.gates: list[Gate] = []

    def __call__(self, request: Request) -> Answer:
        self.gates.append(Gate())
        return Answer.json(MESSAGE, delay=self.gates[-1])


def together(at: House, held: Held, number: int) -> None:
    """`number` requests at once, let go one by one, each when the one before it has ended."""
    first = len(held.gates)
    clients = [at.connect() for _ in range(number)]
    for client in clients:
        client.send("POST", "/v1/messages", body())
    at.wait(lambda p: len(p.service.flows) == number)  # sent, or in line for a place
    for nth in range(number):
        at.wait(lambda p, n=first + nth: len(held.gates) > n)  # type: ignore[misc]
        held.gates[first + nth].open()
        at.wait(lambda p, left=number - nth - 1: len(p.service.flows) == left)  # type: ignore[misc]
    for client in clients:
        assert client.reply()[0] == 200
        client.socket.close()


@pytest.mark.parametrize(("maxsize", "most"), [("100", 3), ("1", 1), ("2", 2)])
def test_http_pool_maxsize_bounds_connections(maxsize: str, most: int) -> None:
    with Upstream(held := Held()) as a, house(a, HTTP_POOL_MAXSIZE=maxsize) as at:
        together(at, held, 3)
        assert a.peak == most and len(a.requests) == 3


@pytest.mark.parametrize(("kept", "new"), [("15", 0), ("1", 2), ("0", 3)])
def test_http_keepalive_connections_bounds_idle_ones(kept: str, new: int) -> None:
    with Upstream(held := Held()) as a, house(a, HTTP_KEEPALIVE_CONNECTIONS=kept, HTTP_POOL_CONNECTIONS="1") as at:
        together(at, held, 3)
        a.wait(lambda up: up.active == 3 - new)
        together(at, held, 3)
        assert a.connections == 3 + new


@pytest.mark.parametrize(("pools", "connections"), [("1", (3, 3)), ("2", (1, 1))])
def test_http_pool_connections_is_the_number_of_upstreams_kept(pools: str, connections: tuple[int, int]) -> None:
    with (
        Upstream(replies) as a,
        Upstream(replies) as o,
        house(a, o, HTTP_POOL_CONNECTIONS=pools, HTTP_KEEPALIVE_CONNECTIONS="1") as at,
    ):
        for _ in range(3):
            says(at, "claude-opus-5-5")
            says(at, "gpt-5.1")
        assert (a.connections, o.connections) == connections


# -------------------------------------------------------------------------------------------- time-outs


def refused_within(at: House, within_s: float, **more: Any) -> str:
    """The message of the 504 that comes in time."""
    begun = time.monotonic()
    status, _, reply = at.post("/v1/messages", body(**more))
    assert status == 504 and time.monotonic() - begun < within_s, reply
    return str(json.loads(reply)["error"]["message"])


def test_connect_timeout_holds_for_tls_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes the connection, and never says a word of TLS
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with House(SHIPPED, {"UPSTREAM_BASE": url, "CONNECT_TIMEOUT": "0.3"}) as at:
            assert "[timeouts] connect" in refused_within(at, 4)


def test_request_timeout_ends_what_is_not_streamed() -> None:
    with Upstream([Answer.silence()]) as a, house(a, REQUEST_TIMEOUT="0.3", STREAM_TIMEOUT="30") as at:
        assert "[timeouts] request" in refused_within(at, 8)
        with at.connect() as client:  # a stream is not bound by it
            client.send("POST", "/v1/messages", body(stream=True))
            client.socket.settimeout(1.0)
            with pytest.raises(TimeoutError):
                client.head()


def test_stream_timeout_ends_a_stream_with_an_error_event() -> None:
    with (
        Upstream([Answer.sse([BEGUN], end="hang")]) as a,
        house(a, STREAM_TIMEOUT="0.5", REQUEST_TIMEOUT="30") as at,
        at.connect() as client,
    ):
        client.send("POST", "/v1/messages", body(stream=True))
        status, _, reply = client.reply()
        assert status == 200 and reply.startswith(BEGUN)
        event = json.loads(reply[len(BEGUN) :].split(b"data: ")[1])
        assert event["error"]["type"] == "timeout_error" and "stream" in event["error"]["message"]


# ------------------------------------------------------------------------------------------------- logs


def logged(folder: Path, what: str) -> list[dict[str, Any]]:
    """The bodies of this kind in requests.json; read after the proxy has ended."""
    file = folder / "requests.json"
    lines = map(json.loads, file.read_text().splitlines()) if file.exists() else ()
    return [line for line in lines if line["what"] == what]


def some_of_everything(at: House) -> None:
    """Whole and streamed, untouched and translated, and a refusal."""
    says(at, "claude-opus-5-5")
    says(at, "gpt-5.1")
    assert at.post("/v1/messages", body(stream=True))[0] == 200
    assert at.post("/v1/messages", body("no-such-model"))[0] == 404


def streams_if_asked(request: Request) -> Answer:
    return Answer.sse([BEGUN, 0.01, STOP]) if request.json.get("stream") else replies(request)


def test_bodies_are_not_logged_unless_asked(tmp_path: Path) -> None:
    with Upstream(streams_if_asked) as a, Upstream(replies) as o, house(a, o, tmp_path) as at:
        some_of_everything(at)
        journal = at.proxy.service.journal
        assert journal.request_bodies is None and journal.response_bodies is None  # nothing is remembered
    assert (tmp_path / "performance.json").exists() and not (tmp_path / "requests.json").exists()


def test_enable_request_body_logging(tmp_path: Path) -> None:
    with (
        Upstream(streams_if_asked) as a,
        Upstream(replies) as o,
        house(a, o, tmp_path, ENABLE_REQUEST_BODY_LOGGING="true") as at,
    ):
        some_of_everything(at)
        sent = [r.body.decode() for r in (a.requests[0], o.requests[0], a.requests[1])]
    assert [line["body"] for line in logged(tmp_path, "request")] == sent
    assert not logged(tmp_path, "response")


def test_enable_response_body_logging(tmp_path: Path) -> None:
    with (
        Upstream(streams_if_asked) as a,
        Upstream(replies) as o,
        house(a, o, tmp_path, ENABLE_RESPONSE_BODY_LOGGING="true") as at,
    ):
        some_of_everything(at)
    untouched, translated, streamed, refused = logged(tmp_path, "response")
    assert json.loads(untouched["body"]) == MESSAGE and untouched["size"] == len(json.dumps(MESSAGE))
    assert json.loads(translated["body"])["content"][0]["text"] == "hello from o"
    assert streamed["body"] == (BEGUN + STOP).decode()
    assert json.loads(refused["body"])["error"]["type"] == "not_found_error"
    done = [json.loads(line) for line in (tmp_path / "performance.json").read_text().splitlines()]
    assert [line["request_id"] for line in (untouched, translated, streamed, refused)] == [
        line["request_id"] for line in done
    ]
    assert not logged(tmp_path, "request")


def test_a_long_reply_is_logged_by_its_beginning_and_its_size(tmp_path: Path) -> None:
    piece = b": " + b"x" * 10_000 + b"\n\n"
    with (
        Upstream([Answer.sse([BEGUN, *[piece] * 30, STOP])]) as a,
        house(a, None, tmp_path, ENABLE_RESPONSE_BODY_LOGGING="true") as at,
    ):
        size = len(at.post("/v1/messages", body(stream=True))[2])
    (line,) = logged(tmp_path, "response")
    assert line["size"] == size == len(BEGUN + piece * 30 + STOP)
    assert len(line["body"]) == 64 << 10 and line["body"].startswith(BEGUN.decode())


def test_debug_says_where_each_request_goes(tmp_path: Path) -> None:
    for environ, expected in (({"DEBUG": "true"}, True), ({}, False)):
        folder = tmp_path / str(expected)
        with started("--port", "0", "--set", f"logging.dir={folder}", environ=environ) as (process, url, _):
            ask(url, "claude-opus-5-5")
            process.terminate()
            assert process.wait(10) == 0 and process.stderr is not None
            said = process.stderr.read()
        file = folder / "proxy.json"
        for text in (said, file.read_text() if file.exists() else ""):
            assert ("attempt 1 for 'claude-opus-5-5' goes to http://" in text) is expected


# ---------------------------------------------------------------------------- what the file alone can say


def test_prewarm_connects_before_the_first_request() -> None:
    with Upstream(lambda r: Answer() if r.method == "HEAD" else replies(r)) as a:
        text = SHIPPED.replace("prewarm = false", "prewarm = true")
        with House(text, {"UPSTREAM_BASE": a.url}) as at:
            a.wait(lambda up: up.connections == 1)
            assert a.requests[0].method == "HEAD"
            assert says(at, "claude-opus-5-5") == "hello from a"
            assert a.connections == 1 and a.requests[1].connection == 0


def test_http2_is_only_spoken_where_tls_agrees_on_it() -> None:
    text = SHIPPED.replace("http2 = false", "http2 = true")
    with Upstream(replies) as a, House(text, {"UPSTREAM_BASE": a.url}) as at:
        assert says(at, "claude-opus-5-5") == "hello from a"
