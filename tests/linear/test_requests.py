"""Requests: every shape, in every crossing and by every reader of a body, costs what its size is."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.flow import outline, upstream_request
from gateway.http import json_bounds
from gateway.refusals import scrub, strip_fields
from operate.logs import redaction
from tests.linear import shapes_chat, shapes_messages, shapes_responses
from tests.linear.work import TOO_LITTLE_S, grows_linearly, seconds
from translate import dialects, pair
from translate.counting import tokens
from translate.failures.errors import ApiError
from translate.reasoning import foreign_reasoning
from translate.target import Policy, Protocol, Target

SHAPES: dict[Protocol, dict[str, Callable[[int], Any]]] = {
    "messages": shapes_messages.SHAPES, "chat": shapes_chat.SHAPES, "responses": shapes_responses.SHAPES,
}  # fmt: skip
# A request with a wish for strict schemas, and one for an upstream that takes little: both ways of each translator.
POLICIES = {"plain": Policy(), "narrow": Policy(tool_schema="gemini", images=False, reasoning_history="true")}
ALL = [(protocol, name) for protocol, shapes in SHAPES.items() for name in shapes]
N = 250


@pytest.mark.parametrize(("client", "name"), ALL)
def test_a_crossing(client: Protocol, name: str) -> None:
    for upstream, policy in itertools.product(SHAPES, POLICIES.values()):
        target = Target("m", policy)
        grows_linearly(SHAPES[client][name], lambda body: pair.request(client, upstream, body, target).json(), N)  # noqa: B023


# ---------------------------------------------------------------------------------- readers of a body's bytes


@pytest.mark.parametrize("piece", [b"{},", b"a,", b'"a,",', b"\\", b'\\"', b'"\\\\",', b"[", b'"'])
def test_how_many_values_a_body_holds(piece: bytes) -> None:
    grows_linearly(
        lambda n: b'["' + b"," * 30 * n + b'",' + piece * n * 10 + b"0]", lambda b: json_bounds.check(b, 500), 5_000
    )


@given(st.recursive(st.none() | st.text('a,[{\\"\n') | st.integers(), st.lists, max_leaves=60), st.integers(2, 9))
def test_values_are_counted_outside_of_texts(value: object, size: int) -> None:
    body = json.dumps(value).encode()
    real = sum(body_without_texts(body).count(mark) for mark in b",[{")
    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr(json_bounds, "PIECE", size)
        json_bounds.check(body, max(real, 1))
        if real > 1:
            with pytest.raises(ApiError, match="JSON values"):
                json_bounds.check(body, real - 1)


def body_without_texts(body: bytes) -> bytes:
    return re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body)


PIECES = {
    "model keys": b'{"model":"a"},', "stream keys": b'{"stream":true},', "both": b'{"stream":1,"model":"a"},',
    "keys that are values": b'"model","stream",', "escaped quotes": b'"\\"model\\":\\"a\\"",',
    "backslashes": b'"\\\\",', "odd model keys": b'{"model":1},', "escapes": b'"\\u0061",', "brackets": b"[],",
    "text": b'"abc, def [x] {y}",', "sealed": b'{"signature":"~sealed.x","encrypted_content":"~sealed.y"},',
    "members": b'{"context_management":1},', "media": b'{"type":"base64","data":"AAAA"},',
    "thinking": b'{"type":"thinking","thinking":"x","signature":"abc"},',
}  # fmt: skip


def with_pieces(piece: bytes, before: bytes = b'"model":"m",') -> Callable[[int], bytes]:
    return lambda n: b'{%b"messages":[{"role":"user","content":"x"}],"x":[%b0],"stream":true}' % (before, piece * n)


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are not counted before a parse: that is a matter of thresholds, each of which is a step in the time."""
    monkeypatch.setattr(json_bounds, "check", lambda body, most: None)


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_the_count_of_values(piece: bytes) -> None:
    grows_linearly(with_pieces(piece), lambda body: json_bounds._has_at_most(body, 1 << 40), 20_000)


@pytest.mark.usefixtures("unbounded")
@pytest.mark.parametrize("before", [b'"model":"m",', b"", b'"model":"m","model":"n","mod\\u0065l":"o",'])
@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_the_outline(piece: bytes, before: bytes) -> None:
    grows_linearly(with_pieces(piece, before), outline.read, 20_000)


@pytest.mark.usefixtures("unbounded")
@pytest.mark.parametrize("key", [b'"model":"m",', b'"stream":true,', b'"model":1,', b'"stream":"x",', b'"a":1,'])
def test_the_outline_of_one_object_of_many_members(key: bytes) -> None:
    grows_linearly(lambda n: b"{" + key * n + b'"z":0}', outline.read, 20_000)


@pytest.mark.usefixtures("unbounded")
@pytest.mark.parametrize("key", [b'{"model":', b'{"stream":', b"[", b'{"a":[', b'{"model":"m","a":'])
def test_the_outline_of_nested_objects(key: bytes) -> None:
    grows_linearly(lambda n: b'{"model":"m","x":' + key * n, outline.read, 20_000)


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize(
    "read",
    [
        lambda body: strip_fields.without(body, ["context_management", "x"]),
        lambda body: foreign_reasoning.request(dialects.of("messages"), body),
        lambda body: foreign_reasoning.request(dialects.of("responses"), body),
        lambda body: upstream_request.conversation_key("", body),
        tokens.has_media,
        lambda body: tokens.estimate(outline.parse(body)),
        lambda body: tokens.measured(outline.parse(body), len(body)),
        lambda body: scrub.without("the upstream refused: abc, def [x] {y}" * 40, body),
    ],
)
def test_other_readers(read: Callable[[bytes], object], piece: bytes) -> None:
    grows_linearly(with_pieces(piece), read, 4_000)


def test_a_new_key_costs_what_it_is_long_however_many_are_known() -> None:
    mask = redaction.Redaction(["configured-secret"])
    keys = [f"{n:04d}" + "aB3/" * 1000 for n in range(3 * redaction.MAX_SENT)]
    first = seconds(mask.saw, keys[: redaction.MAX_SENT // 4])
    mask.saw(keys[: 2 * redaction.MAX_SENT])
    assert seconds(mask.saw, keys[-redaction.MAX_SENT :]) < 4 * 3 * max(first, TOO_LITTLE_S)
