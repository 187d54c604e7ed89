"""What a stream that passes as it is may cost for its bytes: so many plain searches of all of them.

A whole stream may come as one piece. A pattern that begins with a choice takes a hundred times as long for it as a
search for a word, and no count of calls shows that. Both are timed in turns, and the least of each counts.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.passing.clean_lines import CleanLines
from gateway.passing.passthrough import Passthrough
from gateway.passing.usage_chunk import UsageChunk
from operate.logs.redaction import Redaction
from operate.logs.spellings import Spellings
from translate.target import Protocol

ROUNDS = 40
SECRETS = Spellings(["sk-proj-" + "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(20))])  # OpenAI's
MOST = 20  # searches; 2 to 10 are reached


def _events(protocol: Protocol) -> Iterator[str]:
    """As a model's words come; names and the first event are the provider's."""
    for number in range(300):
        word = f" word {number}"
        if protocol == "chat":
            delta = {"role": "assistant", "content": ""} if not number else {"content": word}
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
            said = {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": [choice],
                "usage": None,  # which only the proxy has asked for
            }
            yield f"data: {json.dumps(said, separators=(',', ':'))}\n\n"
        elif protocol == "messages":
            start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
            delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            said = delta if number else start
            yield f"event: {said['type']}\ndata: {json.dumps(said)}\n\n"
        else:
            start = {"type": "response.created", "response": {"id": "resp_1", "error": None}, "sequence_number": 0}
            delta = {
                "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
                "delta": word, "sequence_number": number,
            }  # fmt: skip
            said = delta if number else start
            yield f"event: {said['type']}\ndata: {json.dumps(said)}\n\n"


def _least(work: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Their seconds, in turns."""
    least = [9.0, 9.0]
    for _ in range(ROUNDS):
        for at, each in enumerate((work, other)):
            began = time.perf_counter()
            each()
            least[at] = min(least[at], time.perf_counter() - began)
    return least[0], least[1]


@pytest.mark.parametrize("protocol", ["chat", "messages", "responses"])
def test_a_whole_stream_in_one_piece_is_searched_few_times(protocol: Protocol) -> None:
    whole = "".join(_events(protocol)).encode()
    out = whole.replace(b',"usage":null', b"")

    def passes() -> None:
        unasked = UsageChunk() if protocol == "chat" else None
        assert Passthrough(protocol, unasked=unasked).feed(CleanLines(SECRETS).feed(whole)) == out

    passing, search = _least(passes, lambda: whole.rfind(b"zzzz"))
    assert passing < MOST * search, f"{passing / search:.1f} searches of {len(whole)} bytes"


@pytest.mark.parametrize("said", ["half of it (50 %) & more", 'a \\"quoted\\" text\\n', "an error, an error"])
def test_a_whole_reply_is_searched_for_keys_few_times(said: str) -> None:
    """Many texts have a per cent sign, an ampersand or a quote, and a key may be written in escapes that begin so."""
    whole = f'{{"choices":[{{"message":{{"content":"{said * (20_000 // len(said))}"}}}}]}}'.encode()
    cleaning, search = _least(lambda: SECRETS.clean_reply(whole), lambda: whole.rfind(b"zzzz"))
    assert cleaning < 5 * MOST * search, f"{cleaning / search:.1f} searches of {len(whole)} bytes"


def _keys(count: int) -> list[str]:
    return [f"sk-{number * 2654435761 % 2**32:08x}-Of-a-Team-{number * 40503 % 2**16:04x}" for number in range(count)]


HEAD = b"".join(b"x-header-%d: value %d of it\r\n" % (number, number * 7919) for number in range(12))
OF_KEYS: dict[str, Callable[[int], Callable[[], object]]] = {
    "logs and heads": lambda count: functools.partial(Redaction(_keys(count)).data, HEAD),
    "replies": lambda count: functools.partial(Spellings(_keys(count)).clean_reply, HEAD * 2),
    "errors": lambda count: functools.partial(Spellings(_keys(count)).clean, HEAD),
}


@pytest.mark.parametrize("what", OF_KEYS)
def test_ten_times_the_keys_cost_no_reply_more(what: str) -> None:
    many, some = _least(OF_KEYS[what](1000), OF_KEYS[what](100))
    assert many < 3 * some, f"{many / some:.1f} times as long"
