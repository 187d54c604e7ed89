"""Arguments of tool calls that a strict reader refuses, in every crossing, streamed and whole, however they are cut.

What can be read is made readable: control characters that stand raw in a string are escaped, what follows the object is
left out, and what does not begin as an object becomes one that holds it. What cannot is never closed: the reply is an
error, since clients run a call as soon as it is closed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from conformance import grammar
from tests.support import meaning, meaning_gemini, meaning_responses, streams
from tests.support.crossing import asked
from tests.translate.responses import material as responses
from translate import pair
from translate.failures import errors
from translate.json.wire import inside, is_object, text_of
from translate.streams.repeats import ArgumentRepeats
from translate.target import Protocol
from translate.tools.raw_controls import RawControls

UPSTREAMS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")
CLIENTS: tuple[Protocol, ...] = UPSTREAMS
READ: dict[str, Callable[[Any], meaning.Meaning]] = {
    "messages": meaning.of_messages, "chat": meaning.of_chat, "responses": meaning_responses.of_responses,
    "gemini": meaning_gemini.of_gemini,
}  # fmt: skip
CHECK: dict[str, Callable[[bytes], list[str]]] = {
    "messages": grammar.check_messages, "chat": grammar.check_chat, "responses": grammar.check_responses,
    "gemini": grammar.check_gemini,
}  # fmt: skip
MEND: dict[str, tuple[str, Any]] = {
    "a line end": ('{"a":"x\ny"}', {"a": "x\ny"}),
    "all of them": (f'{{"a":"{"".join(map(chr, range(32)))}"}}', {"a": "".join(map(chr, range(32)))}),
    "in a name": ('{"a\x14b":1}', {"a\x14b": 1}),
    "after a backslash": ('{"a":"x\\\ny\\\x01"}', {"a": "x\ny\x01"}),
    "after an escaped backslash": ('{"a":"x\\\\\ny"}', {"a": "x\\\ny"}),
    "after an escaped quote": ('{"a":"\\"\n\\"","b":"\t"}', {"a": '"\n"', "b": "\t"}),
    "between tokens they stay": ('{\r\n\t"a" :\n[1,\n"\n"]\n}\n', {"a": [1, "\n"]}),
    "escaped ones stay": ('{"a":"\\n\\u0000\\\\n"}', {"a": "\n\x00\\n"}),
    "beside other letters": ('{"é\n":"日\n本\U0001f600\x7f"}', {"é\n": "日\n本\U0001f600\x7f"}),
    "braces in strings": ('{"a":"}\n{\\"}","b":{"c":"\n}"}}', {"a": '}\n{"}', "b": {"c": "\n}"}}),
    "something behind the object": ('{"a":1}</tool_call>\n', {"a": 1}),
    "one brace too many": ('{"a":1}}', {"a": 1}),
    "space alone": (" \n", {}),
    "space before": ('\n {"a":1}', {"a": 1}),
    "words": ('ls -l "x"\n\\', 'ls -l "x"\n\\'),
    "a list": ('[{"a":"b\n"}]', '[{"a":"b\n"}]'),
    "a string": ('"x"', '"x"'),
}
BROKEN: dict[str, str] = {
    "cut": '{"a":"b',
    "cut after a line end": '{"a":"\n',
    "cut after a backslash": '{"a":"\\',
    "cut within": '{"a":{"b":1}',
    "no names": "{a:1}",
    "a comma too many": '{"a":1,}',
    "no number": '{"a":NaN}',
    "a number of no JSON": '{"a":01}',
    "an unknown escape": '{"a":"\\x"}',
    "a control character between tokens": '{\x01"a":1}',
}


def of_chat(texts: Sequence[str], end: str) -> bytes:
    more = [streams.chunk(streams.call(0, text)) for text in texts]
    finish = {"whole": "tool_calls", "cut": "length"}[end]
    return streams.chat(streams.ROLE, streams.chunk(streams.first_call(0, "")), *more, streams.chunk(finish=finish))


def of_messages(texts: Sequence[str], end: str) -> bytes:
    more = [streams.delta(0, type="input_json_delta", partial_json=text) for text in texts]
    block = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    finish = {"whole": "tool_use", "cut": "max_tokens"}[end]
    return streams.messages(
        streams.START, streams.opened(0, **block), *more, streams.closed(0), streams.ending(finish), streams.STOP
    )


def of_responses(texts: Sequence[str], end: str) -> bytes:
    item = responses.call("", name="look")
    kind = "response.function_call_arguments"
    more = b"".join(responses.event(f"{kind}.delta", item_id="fc_1", output_index=0, delta=text) for text in texts)
    whole = "".join(texts)
    tail = responses.event(f"{kind}.done", item_id="fc_1", output_index=0, arguments=whole)
    over = responses.over(0, **item | {"arguments": whole})
    reason: Any = {"whole": {}, "cut": {"incomplete_details": {"reason": "max_output_tokens"}}}[end]
    status = {"whole": "completed", "cut": "incomplete"}[end]
    return responses.CREATED + responses.added(0, **item) + more + tail + over + responses.done(status, **reason)


def of_gemini(texts: Sequence[str], end: str) -> bytes:
    finish = {"whole": "STOP", "cut": "MAX_TOKENS"}[end]
    return b"data: %b\n\n" % json.dumps(gemini("".join(texts), finish)).encode()


def gemini(arguments: str, finish: str) -> dict[str, Any]:
    part = {"functionCall": {"name": "look", "args": arguments}}
    return {"candidates": [{"content": {"parts": [part], "role": "model"}, "finishReason": finish, "index": 0}]}


STREAM = {"messages": of_messages, "chat": of_chat, "responses": of_responses, "gemini": of_gemini}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look"}}
WHOLE: dict[str, Callable[[str], Any]] = {
    "messages": lambda given: {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "usage": {},
        "content": [{"type": "tool_use", "id": "t", "name": "look", "input": given}],
    },
    "chat": lambda given: {"id": "c", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "tool_calls": [CALL | {"function": {"name": "look", "arguments": given}}],
    }}]},
    "responses": lambda given: responses.RESPONSE | {
        "status": "completed", "output": [responses.call(given, name="look")],
    },
    "gemini": lambda given: gemini(given, "STOP"),
}  # fmt: skip


def ways(arguments: str) -> Iterator[list[str]]:
    """The arguments in deltas: one, one for each character, and of any length."""
    yield [arguments]
    yield list(arguments)
    rng = random.Random(arguments)
    for _ in range(3):
        at = [0, *sorted(rng.choices(range(len(arguments) + 1), k=3)), len(arguments)]
        yield [piece for i, j in zip(at, at[1:], strict=False) if (piece := arguments[i:j])]


def crossed(client: Protocol, upstream: Protocol, raw: bytes) -> Iterator[tuple[bytes, errors.ApiError | None]]:
    """What the client gets, with the stream's bytes in one piece, one by one, and in any."""
    rng = random.Random(len(raw))
    for cuts in (range(len(raw) + 1), (), rng.choices(range(len(raw)), k=9)):
        at = [0, *sorted(cuts), len(raw)]
        crossing = pair.Crossing(client, upstream, asked(client))
        pieces = [crossing.feed(raw[i:j]) for i, j in zip(at, at[1:], strict=False)]
        out = b"".join([*pieces, crossing.end()])
        assert crossing.ended or not out
        yield out, crossing.fault


@pytest.mark.parametrize("what", MEND)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_can_be_read_is_made_readable(client: Protocol, upstream: Protocol, what: str) -> None:
    given, want = MEND[what]
    for texts in ways(given):
        for out, fault in crossed(client, upstream, STREAM[upstream](texts, "whole")):
            assert fault is None and CHECK[client](out) == []
            told = READ[client](out)
            assert (told.calls, told.stop) == ([("look", want)], "tool"), texts
        if upstream == "gemini":
            break
    body = json.dumps(WHOLE[upstream](given)).encode()
    told = READ[client](json.loads(pair.Crossing(client, upstream, asked(client)).whole(body)))
    assert (told.calls, told.stop) == ([("look", want)], "tool")
    out = pair.Crossing(client, upstream, asked(client)).whole_as_stream(body)
    assert CHECK[client](out) == [] and READ[client](out).calls == [("look", want)]


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_cannot_is_an_error_and_never_closed(client: Protocol, upstream: Protocol, what: str) -> None:
    given = BROKEN[what]
    for texts in ways(given):
        for out, fault in crossed(client, upstream, STREAM[upstream](texts, "whole")):
            assert fault is not None and fault.status == 502 and "'look'" in str(fault) and "no JSON" in str(fault)
            assert not any(word in out for word in CLOSES[client]), out
    body = json.dumps(WHOLE[upstream](given)).encode()
    for whole in ("whole", "whole_as_stream"):
        with pytest.raises(errors.ApiError, match="no JSON object"):
            getattr(pair.Crossing(client, upstream, asked(client)), whole)(body)


CLOSES = {
    "messages": (b"content_block_stop", b"message_delta", b"message_stop"),
    "chat": (b'"finish_reason":"', b"[DONE]"),
    "responses": (b".done", b"response.completed", b"response.incomplete"),
    "gemini": (b"functionCall", b"finishReason"),
}


@pytest.mark.parametrize("upstream", [each for each in UPSTREAMS if each != "gemini"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_reply_that_was_cut_within_a_call_says_so(client: Protocol, upstream: Protocol) -> None:
    for texts in ways('{"a":"b'):
        for out, fault in crossed(client, upstream, STREAM[upstream](texts, "cut")):
            told = READ[client](out)
            assert fault is None and CHECK[client](out) == [] and told.stop == "length"
            assert client != "gemini" or not told.calls  # whose calls are whole, always


@pytest.mark.parametrize("end", ["tool_use", "max_tokens"])
def test_what_comes_after_a_broken_block_waits_until_its_end_is_known(end: str) -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    half = streams.delta(0, type="input_json_delta", partial_json='{"a')
    later = *streams.text(1), *streams.tool(2, "{}", "b")
    begun = streams.messages(streams.START, streams.opened(0, **block), half, streams.closed(0), *later)
    crossing = pair.Crossing("chat", "messages", asked("chat"))
    out = crossing.feed(begun)
    assert b'{\\"a' in out and b"hello" not in out
    out += crossing.feed(streams.messages(streams.ending(end), streams.STOP)) + crossing.end()
    if end == "tool_use":
        assert crossing.fault is not None and b"hello" not in out
    else:
        assert crossing.fault is None and b"hello" in out and b'"finish_reason":"length"' in out


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", ["messages", "chat", "responses"])
def test_a_call_without_a_name_is_an_error(client: Protocol, upstream: Protocol) -> None:
    raw = STREAM[upstream](["{}"], "whole").replace(b'"look"', b'""')
    for out, fault in crossed(client, upstream, raw):
        assert fault is not None and "without a name" in str(fault)
        assert b"tool_use" not in out and b"tool_calls" not in out and b"functionCall" not in out


def test_arguments_that_grow_with_their_control_characters() -> None:
    given = '{"a":"x\ny\tz","b":"\n"}'
    arguments = ArgumentRepeats()
    for n in range(1, len(given) + 1):
        arguments.fresh([inside(given[:n])])
    assert json.loads(text_of(arguments.said)) == {"a": "x\ny\tz", "b": "\n"}


def test_the_whole_arguments_fill_what_never_came() -> None:
    """Of a Responses item: they are compared as they were told."""
    whole = ' {"a":"x\ny","b":"\n"}</x>'
    for size in range(len(whole) + 1):
        raw = of_responses([whole], "whole").replace(
            b'"delta": ' + json.dumps(whole).encode(), b'"delta": ' + json.dumps(whole[:size]).encode()
        )
        assert READ["chat"](next(crossed("chat", "responses", raw))[0]).calls == [("look", {"a": "x\ny", "b": "\n"})]


def test_quotes_that_a_server_writes_as_numbers() -> None:
    arguments = ArgumentRepeats()
    for piece in (b"{\\u0022a\\u0022:\\u0022x\\u005c", b"\\nz\\ny\\u0022", b"}"):
        arguments.fresh([piece])
    assert arguments.ended and json.loads(text_of(arguments.said)) == {"a": "x\nz\ny"}


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_same_however_it_is_cut(seed: int) -> None:
    """And means what a lenient reader takes the text for."""
    rng = random.Random(seed)
    for _ in range(200):
        text = "".join(rng.choice('"\\\n\x01ab{}:/\x1fé\U0001f600') for _ in range(rng.randrange(14)))
        controls, said, at = RawControls(), list[bytes](), 0
        while at < len(text):
            size = rng.randrange(1, 4)
            said.append(controls.escaped(said, inside(text[at : at + size])))
            at += size
        whole = text_of([RawControls().escaped([], inside(text))])
        assert text_of(said) == whole
        try:
            lenient = json.loads(text, strict=False)
        except ValueError:
            continue
        assert json.loads(whole) == lenient


def test_only_strict_json_is_a_whole_object() -> None:
    for text in ('{"a":"\n"}', '{"a":NaN}', '{"a":-}', '{"a":01}', "[]", "", '{"a":1}x'):
        assert not is_object([inside(text)]), text
    assert is_object([inside('{"a":1e999, "b":' + "9" * 5000 + "}")])
    assert not is_object([inside('{"a":' * 100_000)])
