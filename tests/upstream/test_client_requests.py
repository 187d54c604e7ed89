"""What the upstream sees of a request, and what a handle keeps from one to the next."""

from __future__ import annotations

from types import SimpleNamespace

import pycurl
import pytest

from tests.upstream.scripted import Upstream, ask, begin, client, run
from upstream.exchange import Handle
from upstream.pool import Pool
from upstream.request import DIRECT, Request, Timeouts


@run
async def test_request_as_the_upstream_sees_it() -> None:
    async with Upstream() as up, client() as c:
        big = b"x" * 3_000_000
        await ask(c, up.url + "?beta=true", big, headers=["Content-Type: application/json", "X-\u00e9: \u00e9"])
        head, _, body = up.requests[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /v1/x?beta=true HTTP/1.1" and body == big
        names = [line.split(b":")[0].lower() for line in lines[1:]]
        assert sorted(names) == [b"accept", b"content-length", b"content-type", b"host", b"x-\xe9"]
        for size in (0, 1, 65536, 65537, 200_000):
            await ask(c, up.url, b"y" * size)
            assert up.requests[-1].partition(b"\r\n\r\n")[2] == b"y" * size


@run
async def test_methods_may_alternate_on_one_handle() -> None:
    async with Upstream() as up, client() as c:
        for method, body in (
            ("POST", b"1"), ("GET", None), ("PUT", b"2"), ("DELETE", None), ("POST", b"3"),
            ("OPTIONS", None), ("GET", None),
        ):  # fmt: skip
            told = await ask(c, up.url, body, method=method)
            assert told.failure is None and told.body == b"ok"
            assert up.requests[-1].startswith(method.encode() + b" ")
            assert up.requests[-1].endswith(body or b"\r\n\r\n")
        assert c.stats()["handles"] == 1


@run
async def test_what_cannot_be_sent_is_refused_at_once() -> None:
    async with Upstream() as up, client() as c:
        for headers in (["A: b\r\nInjected: 1"], ["A: \0"], ["A: \u20ac"]):
            with pytest.raises(ValueError, match="cannot be sent"):
                begin(c, up.url, headers=headers)
        assert c.stats()["in_flight"] == 0
        assert (await ask(c, up.url)).failure is None
        for url in ("ftp://127.0.0.1/x", "http://", "file:///etc/hostname"):
            told = await ask(c, url)
            assert told.kind == "bad_url", url
            assert told.failure is not None and told.failure.replayable


@run
async def test_a_handle_keeps_its_options() -> None:
    async with Upstream() as up, client() as c:
        told = await ask(c, up.url, b"hello")
        handle = c._handles.free[DIRECT][-1]
        real, done = handle.curl, []

        def setopt(option: int, value: object) -> None:
            done.append(option)
            real.setopt(option, value)

        handle.curl = SimpleNamespace(setopt=setopt, unsetopt=real.unsetopt)  # type: ignore[assignment]
        assert told.exchange is not None
        first = told.exchange.request
        handle.prepare(Request("POST", up.url, ["X-Test: 1"], b"HELLO", first.timeouts))
        assert done == []
        handle.prepare(Request("POST", up.url, ["X-Test: 2"], b"HELLO", first.timeouts))
        assert done == [pycurl.HTTPHEADER]
        done.clear()
        handle.prepare(Request("POST", up.url + "/y", ["X-Test: 2"], b"more", Timeouts(connect=1)))
        assert pycurl.HTTPHEADER not in done and len(done) == 3  # url, size, connect timeout
        handle.curl = real


def test_kept_headers_are_a_copy() -> None:
    handle, lines = Handle(pycurl.Curl(), [], DIRECT, Pool()), ["A: 1"]
    handle.prepare(Request("GET", "http://x/", lines, None, Timeouts()))
    lines[0] = "A: 2"
    assert handle.headers == ["A: 1"]
    handle.curl.close()
