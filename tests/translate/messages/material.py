"""What the tests of the Messages package share: recorded exchanges, streams made by hand, plain views of events.

A *view* is what a list of events says, without how it was cut: deltas joined, pings left out. Two ways of
reading one stream must give the same view.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from tests.conftest import exchange_files, read_exchange
from translate.conversation import Close, Delta, Event, Fault, Open, Ping, Start, Stop
from translate.json import wire
from translate.messages.decode_stream import Decoder


def recorded(api: str = "anthropic.messages") -> list[dict[str, Any]]:
    """Every exchange of the API: the samples and the recorded ones."""
    exchanges = (read_exchange(path) for path in exchange_files())
    return [exchange for exchange in exchanges if exchange["api"] == api]


def sse(*events: dict[str, Any] | str) -> bytes:
    """A stream: each dict is an event with its event line, each str stands as it is."""
    return b"".join(
        event.encode() if isinstance(event, str) else b"event: %b\ndata: %b\n\n" % (_kind(event), wire.dumps(event))
        for event in events
    )


def _kind(event: dict[str, Any]) -> bytes:
    return str(event["type"]).encode()


def start(**message: Any) -> dict[str, Any]:
    usage = {"input_tokens": 7, "output_tokens": 1}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    return {
        "type": "message_start",
        "message": head | {"stop_reason": None, "stop_sequence": None, "usage": usage} | message,
    }


def opened(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def text(index: int, *texts: str) -> list[dict[str, Any]]:
    return [delta(index, type="text_delta", text=text) for text in texts]


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str | None = "end_turn", **usage: int) -> list[dict[str, Any]]:
    said = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": said, "usage": usage or {"output_tokens": 5}}, {"type": "message_stop"}]


def decode(chunks: Iterable[bytes]) -> list[Event]:
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.end()


def cuts(raw: bytes, seed: int) -> Iterator[bytes]:
    """The bytes in pieces of random length, many of them short."""
    dice, at = random.Random(seed), 0
    while at < len(raw):
        size = dice.choice((1, 2, 3, 17, 80, 200, 1500))
        yield raw[at : at + size]
        at += size


def ways(raw: bytes, seeds: Iterable[int] = range(4)) -> Iterator[list[bytes]]:
    """The stream whole, byte by byte, and split at random."""
    yield [raw]
    yield [raw[i : i + 1] for i in range(len(raw))]
    for seed in seeds:
        yield list(cuts(raw, seed))


def view(events: Iterable[Event]) -> list[Any]:
    """What the events say, in plain values."""
    out: list[Any] = []
    for event in events:
        match event:
            case Start():
                out.append(("start", event.id, event.model, event.usage))
            case Open():
                out.append(["open", event.part, b""])
            case Delta():
                out[-1][2] += b"".join(event.pieces)
            case Close():
                out[-1] += [event.signature, event.ext]
                out[-1] += [[cited.raw for cited in event.citations]] if event.citations else []
            case Stop():
                out.append(("stop", event.reason, event.usage, event.sequence, event.ext))
            case Fault():
                out.append(("fault", repr(event.error)))
            case Ping():
                pass
    for item in out:
        if item[0] == "open":
            item[2] = wire.text_of([item[2]])
    return out


def check_order(events: list[Event]) -> None:
    """The order that every decoder promises: Start, (Open Delta* Close)*, Stop or Fault; pings anywhere."""
    told = [event for event in events if not isinstance(event, Ping)]
    assert told, "a stream says something, if only that it failed"
    assert isinstance(told[-1], Stop | Fault)
    assert all(not isinstance(event, Stop | Fault) for event in told[:-1])
    if len(told) == 1:
        assert isinstance(told[0], Fault)
        return
    assert isinstance(told[0], Start)
    is_open = False
    for event in told[1:-1]:
        assert not isinstance(event, Start)
        assert isinstance(event, Open) is not is_open, f"{event} while open={is_open}"
        is_open = not isinstance(event, Close)
        if isinstance(event, Delta):
            assert event.pieces and all(event.pieces)
    assert not is_open or isinstance(told[-1], Fault)
