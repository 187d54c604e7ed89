"""model and stream found without a parse: wherever they stand, and never inside of anything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.flow import outline
from translate.failures.errors import BadRequest

NESTED = {"tools": [{"properties": {"model": {"type": "string"}, "x": {"model": "inner", "stream": True}}}]}

CASES = [
    (b'{"model":"a"}', "a", False),
    (b' {\n "model" : "a" , "stream" : true }', "a", True),
    (b'{"stream":false,"model":"a/b:c"}', "a/b:c", False),
    (b'{"stream":null,"model":"a"}', "a", False),
    (b'{"x":{"model":"no","stream":true},"model":"a"}', "a", False),
    (b'{"model":"a","x":{"model":"no","stream":true}}', "a", False),
    (b'{"messages":[{"content":"\\"model\\":\\"no\\",\\"stream\\":true"}],"model":"a"}', "a", False),
    (b'{"messages":["\\\\"],"model":"a","stream":true}', "a", True),
    (b'{"messages":["{[\\"{"],"model":"a","stream":true,"t":["}\\\\\\"]"]}', "a", True),
    ('{"model":"modèle"}'.encode(), "modèle", False),
    (b'{"mod\\u0065l":"a"}', "a", False),
    (b'{"x":{"model":"no"},"mod\\u0065l":"a"}', "a", False),
    (b'{"model":"a\\u0062"}', "ab", False),
    (b'{"x":{"model":"no"},"model":"a\\/b"}', "a/b", False),
    (b'{"x":{"model":"no"},"model":"a\\u0062"}', "ab", False),
    (b'{"str\\u0065am":true,"model":"a"}', "a", True),
    (b'{"x":{"mod\\u0065l":"no"},"model":"a"}', "a", False),
    (b'{"model":"a","stre\\u0061m":true}', "a", True),
    (b'{"model": "a", "prompt": "stream", "stream": true}', "a", True),
    (b'{"model": "a", "stream": false, "input": "stream"}', "a", False),
    (b'{"model": "stream", "stream": true}', "stream", True),
    (b'{"model": "model", "input": "model", "stream": true}', "model", True),
]


@pytest.mark.parametrize(("body", "model", "stream"), CASES)
def test_model_and_stream_are_found_in_the_bytes(body: bytes, model: str, stream: bool) -> None:
    found = outline.read(body)
    assert (found.model, found.stream) == (model, stream)
    if found.span is not None:
        assert json.loads(b'"' + body[slice(*found.span)] + b'"') == model


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no body"),
        (b"  ", "no body"),
        (b"[1]", "JSON list"),
        (b"{", "not valid JSON"),
        (b"{}", "model: field required"),
        (b'{"model":5}', "model: field required"),
        (b'{"model":""}', "model: field required"),
        (b'{"x":{"mod\\u0065l":"a"}}', "model: field required"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"x":{"model":"a"},"model":5}', "model: field required"),
        (b'{"model":"a","model":"b"}', "model: it is there twice"),
        (b'{"model":"a","model":5}', "model: it is there twice"),
        (b'{"x":"model","model":"a","model":"b"}', "model: it is there twice"),
        (b'{"model":"a","model":"b\\/c"}', "model: it is there twice"),
        (b'{"model":"a","mod\\u0065l":"b"}', "model: it is there twice"),
        (b'{"\\u006dodel":"a","x":{"model":"no"},"mod\\u0065l":"b"}', "model: it is there twice"),
        (b'{"model":"a","stream":true,"stream":false}', "stream: it is there twice"),
        (b'{"model":"a","stream":true,"\\u0073tream":false}', "stream: it is there twice"),
    ],
)
def test_refusals_say_what_is_wrong(body: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        outline.read(body)


@pytest.mark.parametrize(("body", "model", "stream"), CASES)
def test_only_the_models_name_changes(body: bytes, model: str, stream: bool) -> None:
    found = outline.read(body)
    out = outline.with_model(body, found, 'new "one"')
    assert json.loads(out) == json.loads(body) | {"model": 'new "one"'}
    if found.span is not None:
        start, end = found.span
        assert out == body[:start] + b'new \\"one\\"' + body[end:]
    assert outline.with_model(body, found, model) is body


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(['"model":"x"', "\\", '{"', "]}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["model", "stream", "m\\"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    before=st.dictionaries(st.text(max_size=4), values, max_size=3),
    after=st.dictionaries(st.text(max_size=4), values, max_size=3),
    model=st.text(min_size=1, max_size=100).filter(lambda name: name.isprintable() and "\ufffd" not in name),
    stream=st.booleans() | st.none(),
    ascii_only=st.booleans(),
)
def test_agrees_with_a_parser(before: dict, after: dict, model: str, stream: bool | None, ascii_only: bool) -> None:
    data = before | {"model": model} | ({} if stream is None else {"stream": stream}) | after
    data["model"] = model
    try:
        body = json.dumps(data, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return
    found = outline.read(body)
    assert (found.model, found.stream) == (model, data.get("stream") is True)
    assert json.loads(outline.with_model(body, found, "z")) == data | {"model": "z"}


def test_where_no_model_need_be_named_that_of_a_field_is_none() -> None:
    for body in (b'{"input": "x", "metadata": {"model": "ok"}}', b'{"input":"x","metadata":{"model":"ok"}}'):
        assert outline.read(body, "usual") == ("usual", False, None)
