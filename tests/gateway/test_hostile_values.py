"""Values in wrong places: hosts, names, queries, headers and bodies that are made to be taken for something else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.hostile import ASKED, OK, PATH, nothing_is_left, post
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "[::1"}, 403), ({"Host": "a]b"}, 403), ({"Host": "\u2100.example".encode().decode("latin-1")}, 403),
        ({"Host": ""}, 403), ({"Host": "localhost, evil.example"}, 403), ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost@evil.example"}, 403), ({"Host": "evil.example@localhost"}, 403),
        ({"Host": "localhost/@evil.example"}, 403),
        ({"Origin": "http://["}, 403), ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://evil.example\\@localhost"}, 403), ({"Origin": "file://"}, 403),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [PATH, "/v1/models"])
def test_odd_hosts_and_origins_are_refused_in_words(headers: dict[str, str], status: int, path: str) -> None:
    with House(one_upstream("http://127.0.0.1:9", "chat")) as house:
        method, body = ("POST", ASKED) if path == PATH else ("GET", None)
        got, _, text = house.request(method, path, body, headers)
        assert got in (status, 400), got
        assert path != PATH or json.loads(text)["error"]["message"]
        nothing_is_left(house)


def test_field_names_do_not_become_headers() -> None:
    odd = {"x\r\nSet-Cookie: a=b\r\n\r\n": 1, "y\nX-Evil: 1": 2, "\u2603": 3, "z\0": 4, "cr\rx": 5}
    reply = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}
    with Upstream([Answer.json(reply)]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        client.send("POST", "/v1/messages", ASKED | odd)
        while b"\r\n\r\n" not in client._held:
            client._more()
        head = client._held.partition(b"\r\n\r\n")[0]
        status, headers, _ = client.reply()
    assert status == 200 and "x-proxy-dropped" in headers
    assert "set-cookie" not in headers and "x-evil" not in headers
    assert b"\r" not in head.replace(b"\r\n", b"") and b"\n" not in head.replace(b"\r\n", b"") and b"\0" not in head


@pytest.mark.parametrize("value", ["a\rSet-Cookie: x=y", "a\r\r\n\tb", "tab\there", "\x7f", "\xe9t\xe9"])
def test_upstream_header_values_stay_values(value: str) -> None:
    headers = {"x-ratelimit-odd": value, "Content-Type": f"application/json; a={value}"}
    answer = Answer.json({"id": "x"}, headers=headers)
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        client.send("POST", PATH, ASKED)
        while b"\r\n\r\n" not in client._held:
            client._more()
        head = client._held.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"")
        client.reply()
    assert b"\r" not in head and b"\n" not in head


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"\xff"}', b'{"model":"\\ud800"}', b'{"model":""}', b'{"model":["m"]}', b'{"model":"a\nb"}',
        b'{"model":"%b"}' % (b"m" * 100_000), b'{"model":"m","model":"n"}x', b"[" * 100_000, b'{"a":' * 100_000,
        b"\xef\xbb\xbf{}", b"\0", b'{"model":"m","stream":tru}',
    ],
)  # fmt: skip
def test_odd_bodies_are_400(body: bytes) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        for path in (PATH, "/v1/messages"):
            status, _, got = house.post(path, body)
            assert status == 400 and len(got) < 5_000, (status, got[:300])
        assert up.requests == []


@pytest.mark.parametrize("name", ["\u2603 snow", "a b", "../../x", "m?a=b#c", "\u00e9"])
def test_model_names_stay_names(name: str) -> None:
    """Whatever a model is called, it is JSON to the upstream, never a path."""
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post(PATH, ASKED | {"model": name})[0] == 200
        assert up.requests[0].json["model"] == name and up.requests[0].path == PATH


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "m\0", "\x1b[31mred", "\x85", "\ud800", "m" * 513, "\u202etxt"])
def test_what_is_no_name_goes_nowhere(name: str) -> None:
    """Names are logged and repeated: no line breaks, no terminal's commands, no megabytes."""
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, body = house.post(PATH, ASKED | {"model": name})
        assert status == 400 and len(body) < 500 and up.requests == []


@pytest.mark.parametrize("query", ["a=\xe9", "a=\x01", "a=%0d%0ax", "a=b#c", "a=\\", "a=[]{}|"])
def test_odd_query_strings(query: str) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, _ = house.post(f"{PATH}?{query}", ASKED)
        assert status in (200, 400), status
        for request in up.requests:
            assert request.path.startswith(PATH)
        nothing_is_left(house)


def test_client_header_values_stay_values_upstream() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat", "request_headers = x-a, x-empty")) as house:
        odd = {"X-A": "\xe9\xff", "X-Empty": "", "X-Semi;": "1"}
        data = post(json.dumps(ASKED).encode(), *(f"{name}: {value}" for name, value in odd.items() if ";" not in name))
        with house.connect() as client:
            client.socket.sendall(data)
            assert client.reply()[0] == 200
        assert up.requests[0].headers["x-a"] == "\xe9\xff"


def test_an_upstream_that_repeats_our_key_does_not_tell_it(tmp_path: Any) -> None:
    """And its error is in the log, where an operator looks first."""
    key = "sk-upstream-0123456789"
    said = {"error": {"message": f"Incorrect API key provided: {key}."}}
    settings = one_upstream("{}", "chat", f"api_key = {key}")
    with Upstream([Answer.json(said, 401)]) as up, House(settings.format(up.url), folder=tmp_path) as house:
        for path in (PATH, "/v1/messages"):
            status, _, body = house.post(path, ASKED)
            assert status == 401 and b"Incorrect API key" in body
            assert key.encode() not in body
    text = (tmp_path / "errors.json").read_text()
    assert text.count("Incorrect API key") == 2 and key not in text
