"""A reply that goes home comes back: events -> stream or whole body -> the same events, in their normal form.

For each protocol, over all that it can say (see strategies_replies.py). A stream may be cut anywhere, framed in any
way that server-sent events allow, and held to all nine pairs: nothing of that changes a byte of what a client gets.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support import sdk_types
from tests.support import strategies_replies as replies
from tests.support.strategies import few
from tests.support.strategies_replies import gathered, said
from translate import dialects, pair
from translate.conversation import Event
from translate.failures import errors
from translate.streams import sse
from translate.target import Asked, Policy, Protocol

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")
EVENTS = {protocol: replies.replies(protocol) for protocol in PROTOCOLS}
ASKED = Asked("m", include_usage=True)
TYPED = replace(ASKED, free_text=False)  # the SDK's chunks have no calls of custom tools

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
cuts = st.lists(st.integers(0, 4000), max_size=8)


def streamed(protocol: Protocol, events: list[Event]) -> bytes:
    encoder = dialects.of(protocol).encoder(ASKED)
    raw: bytes = encoder.emit(events)
    assert encoder.ended
    return raw


def read(protocol: Protocol, pieces: list[bytes]) -> list[Event]:
    decoder = dialects.of(protocol).decoder(Policy())
    return [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.end()]


def cut_up(raw: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(raw) + 1) for place in places})
    return [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]


@each_protocol
@few
@given(data=st.data())
def test_a_stream_comes_home(protocol: Protocol, data: st.DataObject) -> None:
    events = data.draw(EVENTS[protocol])
    want = said(events, protocol)
    raw = streamed(protocol, events)
    assert said(read(protocol, [raw]), protocol) == want
    assert said(read(protocol, cut_up(raw, data.draw(cuts))), protocol) == want


@each_protocol
@few
@given(data=st.data())
def test_a_whole_reply_comes_home(protocol: Protocol, data: st.DataObject) -> None:
    events = data.draw(EVENTS[protocol])
    body = dialects.of(protocol).collect(events, ASKED)
    back = said(dialects.of(protocol).explode(json.loads(json.dumps(body)), Policy()), protocol)
    want = said(events, protocol)
    assert back == (gathered(want) if protocol == "chat" else want)


# --------------------------------------------------------------------------------------------------- framing


def reframed(raw: bytes, newline: bytes, comments: bool, lines: bool) -> bytes:
    """The same stream with other line ends, comments between and within events, JSON over several data lines."""
    out = []
    for event in raw.split(b"\n\n"):
        if not event:
            continue
        name, data = sse.fields(event)
        written = [b"event: " + name] if name else []
        if lines and data not in (b"", b"[DONE]"):
            data = json.dumps(json.loads(data), indent=1).encode()
        written += [b"data: " + line if i % 2 else b"data:" + line for i, line in enumerate(data.split(b"\n"))]
        if comments:
            written = [b": hi", *written[:1], b":", b"id: 7", b"retry: 1", *written[1:]]
            out.append(b": a comment alone" + newline * 2)
        out.append(newline.join(written) + newline * 2)
    return b"".join(out)


@pytest.mark.parametrize("upstream", PROTOCOLS)
@few
@given(data=st.data())
def test_how_a_stream_is_cut_and_framed_changes_nothing(upstream: Protocol, data: st.DataObject) -> None:
    raw = streamed(upstream, data.draw(EVENTS[upstream]))
    newline = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    lines = data.draw(st.booleans())
    other = reframed(raw, newline, data.draw(st.booleans()), lines)
    pieces = cut_up(other, data.draw(cuts))
    assert said(read(upstream, pieces), upstream) == said(read(upstream, [raw]), upstream)
    for client in PROTOCOLS:
        out, want = crossed(client, upstream, pieces), crossed(client, upstream, [raw])
        if lines:  # JSON written anew has other escapes, which are copied as they are
            assert said(read(client, [out]), client) == said(read(client, [want]), client)
        else:
            assert out == want


@pytest.mark.parametrize("upstream", PROTOCOLS)
@few
@given(data=st.data())
def test_what_crosses_is_of_the_types(upstream: Protocol, data: st.DataObject) -> None:
    """The official SDKs', and those of Open Responses; streamed, whole, and a whole reply as a stream."""
    events = data.draw(EVENTS[upstream])
    raw = streamed(upstream, events)
    whole = json.dumps(dialects.of(upstream).collect(events, ASKED)).encode()
    for client in PROTOCOLS:
        if client != upstream:
            assert sdk_types.stream_problems(client, crossed(client, upstream, [raw], TYPED)) == []
            assert sdk_types.body_problems(client, pair.Crossing(client, upstream, TYPED).whole(whole)) == []
            out = pair.Crossing(client, upstream, TYPED).whole_as_stream(whole)
            assert sdk_types.stream_problems(client, out) == []


@pytest.mark.parametrize("upstream", PROTOCOLS)
@few
@given(data=st.data())
def test_what_breaks_off_is_of_the_types(upstream: Protocol, data: st.DataObject) -> None:
    events = data.draw(EVENTS[upstream])
    raw = streamed(upstream, events)
    at = data.draw(st.integers(0, len(raw)))
    for client in PROTOCOLS:
        crossing = pair.Crossing(client, upstream, TYPED)
        out = crossing.feed(raw[:at]) + crossing.fail(errors.ApiError("overloaded", "no"))
        out += b"" if out or crossing.fault is None else dialects.of(client).errors.event(crossing.fault)
        if client != upstream:
            assert sdk_types.stream_problems(client, out) == []


def crossed(client: Protocol, upstream: Protocol, pieces: list[bytes], asked: Asked = ASKED) -> bytes:
    crossing = pair.Crossing(client, upstream, asked)
    out = b"".join([*map(crossing.feed, pieces), crossing.end()])
    assert crossing.ended and crossing.fault is None
    return out
