"""How far one request walks through the project's code: functions, files, calls, and switches from one file to another.

    python -m tests.bench.walk                          Messages in, Chat upstream, streamed
    python -m tests.bench.walk chat chat --whole        client's protocol, upstream's protocol, a reply in one piece
    python -m tests.bench.walk --pairs 40 --calls 40    longer tables

It counts and measures no time, so the machine's load does not matter. A request goes through the whole proxy on a real
port, again and again, and the cheapest of them counts: the others have met a timer. A switch is a call whose caller
(the nearest function of the project that is on the stack) stands in another file. What is alive in the middle of a
stream are the objects of the project's own classes that were not there before the request.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Item, Upstream

ROOT = Path(__file__).resolve().parents[2]
ROOMS = tuple(f"{ROOT}/{name}" for name in ("gateway/", "translate/", "upstream/", "operate/", "console/", "proxy.py"))
PACKAGES = tuple(Path(room).stem for room in ROOMS)
ROUNDS = 12
PAUSE_S = 0.02  # between two events of the upstream, so that each is one of its own

PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
ASKED = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Say hi."}]}
ASKED_RESPONSES = {"model": "m", "max_output_tokens": 50, "input": "Say hi.", "store": False}

_CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
_USAGE = b'{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}'
_MESSAGE = b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[%b],"stop_reason":%b,'
_COUNTS = b'"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":9}}'
_RESPONSE = b'{"id":"resp_1","object":"response","created_at":1,"status":"%b","model":"m","output":[%b],'
_SPENT = b'"usage":{"input_tokens":5,"output_tokens":9,"total_tokens":14}}'
_TOLD = b'{"type":"output_text","text":"%b","annotations":[]}'
_ITEM = b'{"type":"message","id":"msg_1","status":"%b","role":"assistant","content":[%b]}'
_DONE = _ITEM % (b"completed", _TOLD % b"word ")
_AT = b',"item_id":"msg_1","output_index":0,"content_index":0'


def _event(name: bytes, fields: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b"%b}\n\n' % (name, name, fields)


# Of each protocol's stream: how it begins, one delta, and how it ends.
STREAMS: dict[str, tuple[bytes, bytes, bytes]] = {
    "chat": (
        _CHUNK % b'{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}',
        _CHUNK % b'{"index":0,"delta":{"content":"word "},"finish_reason":null}',
        _CHUNK % b'{"index":0,"delta":{},"finish_reason":"stop"}'
        + b'data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":%b}\n\n' % _USAGE
        + b"data: [DONE]\n\n",
    ),
    "messages": (
        _event(b"message_start", b',"message":' + _MESSAGE % (b"", b"null") + _COUNTS)
        + _event(b"content_block_start", b',"index":0,"content_block":{"type":"text","text":""}'),
        _event(b"content_block_delta", b',"index":0,"delta":{"type":"text_delta","text":"word "}'),
        _event(b"content_block_stop", b',"index":0')
        + _event(b"message_delta", b',"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}')
        + _event(b"message_stop", b""),
    ),
    "responses": (
        _event(b"response.created", b',"response":' + _RESPONSE % (b"in_progress", b"") + b'"usage":null}')
        + _event(b"response.output_item.added", b',"output_index":0,"item":' + _ITEM % (b"in_progress", b""))
        + _event(b"response.content_part.added", _AT + b',"part":' + _TOLD % b""),
        _event(b"response.output_text.delta", _AT + b',"delta":"word "'),
        _event(b"response.output_item.done", b',"output_index":0,"item":' + _DONE)
        + _event(b"response.completed", b',"response":' + _RESPONSE % (b"completed", _DONE) + _SPENT),
    ),
}  # fmt: skip

WHOLE: dict[str, bytes] = {
    "chat": b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"word"},"finish_reason":"stop"}],"usage":%b}' % _USAGE,
    "messages": _MESSAGE % (b'{"type":"text","text":"word"}', b'"end_turn"') + _COUNTS,
    "responses": _RESPONSE % (b"completed", _DONE) + _SPENT,
}

Call = tuple[CodeType | None, CodeType]
"""(who calls, what is called); None = nobody of the project."""


class Walk:
    """The calls of one request, in order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __repr__(self) -> str:
        return f"<Walk of {len(self.calls)} calls>"

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(ROOMS):
            self.calls.append((_caller(frame), frame.f_code))

    @property
    def functions(self) -> set[CodeType]:
        return {code for _, code in self.calls}

    @property
    def files(self) -> set[str]:
        return {_file(code) for _, code in self.calls}

    @property
    def switches(self) -> Counter[tuple[str, str]]:
        """(from, to) -> how often."""
        return Counter(
            (_file(caller), _file(code))
            for caller, code in self.calls
            if caller is not None and caller.co_filename != code.co_filename
        )


def _caller(frame: FrameType) -> CodeType | None:
    above = frame.f_back
    while above is not None and not above.f_code.co_filename.startswith(ROOMS):
        above = above.f_back
    return above.f_code if above is not None else None


def _file(code: CodeType) -> str:
    return code.co_filename[len(str(ROOT)) + 1 :]


def _room(file: str) -> str:
    return "/".join(file.split("/")[:2])


class Bench:
    """A proxy with one upstream, and a client that keeps its connection."""

    def __init__(self, client: str, upstream: str, *, streams: bool = True) -> None:
        self.path = PATHS[client]
        self.body = (ASKED_RESPONSES if client == "responses" else ASKED) | {"stream": streams}
        self._upstream = upstream
        self._streams = streams

    def reply(self, deltas: int, pause: Item = PAUSE_S) -> Answer:
        """pause: what the upstream does between two events."""
        if not self._streams:
            return Answer(headers={"Content-Type": "application/json"}, body=WHOLE[self._upstream])
        begins, delta, ends = STREAMS[self._upstream]
        items: list[Item] = [begins + delta]
        for _ in range(deltas - 1):
            items += [pause, delta]
        return Answer.sse([*items, pause, ends])

    def walks(self, deltas: int, rounds: int = ROUNDS, pause_s: float = PAUSE_S) -> Walk:
        """The cheapest of several requests."""
        return min(self.each_walk(deltas, rounds, pause_s), key=lambda walk: len(walk.calls))

    def each_walk(self, deltas: int, rounds: int, pause_s: float) -> Generator[Walk, None, None]:
        with Upstream(lambda _: self.reply(deltas, pause_s)) as up:
            with House(one_upstream(up.url, self._upstream)) as house, house.connect() as client:
                for number in range(rounds):
                    walk = Walk()
                    house.on_loop(lambda seen=walk.profile: sys.setprofile(seen))
                    client.send("POST", self.path, self.body)
                    status, _, body = client.reply()
                    house.on_loop(lambda: sys.setprofile(None))
                    assert status == 200, body
                    if number >= 2:  # the first ones make what is kept for good
                        yield walk

    def alive(self) -> list[object]:
        """The project's objects in the middle of a stream, or while the upstream works on a whole reply."""
        gates: list[Gate] = []

        def answer(_: object) -> Answer:
            gates.append(Gate())
            reply = self.reply(3, gates[-1])
            if not self._streams:
                reply.delay = gates[-1]
            return reply

        with Upstream(answer) as up, House(one_upstream(up.url, self._upstream)) as house:
            with house.connect() as client:
                found: list[object] = []
                for number in range(3):
                    # The client has its reply before the proxy is done with the request, and makes its record.
                    house.wait(lambda p: not p.service.flows)
                    before = {id(one): one for one in house.on_loop(_ours)}
                    client.send("POST", self.path, self.body)
                    if self._streams:
                        client.head()
                        next(client.pieces())
                    else:
                        up.wait(lambda up, made=number: len(up.requests) > made)
                    found = [one for one in house.on_loop(_ours) if id(one) not in before]
                    gates[-1].open()
                    rest = client.body() if self._streams else client.reply()[2]
                    assert rest
                return found


def _ours() -> list[object]:
    gc.collect()
    return [one for one in gc.get_objects() if str(type(one).__module__).partition(".")[0] in PACKAGES]


def attributes(one: object) -> dict[str, object]:
    """An object's own, by name."""
    names: list[str] = list(getattr(one, "__dict__", ()))
    for kind in type(one).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    names += getattr(one, "_fields", ()) if isinstance(one, tuple) else ()
    return {name: getattr(one, name) for name in dict.fromkeys(names) if hasattr(one, name)}


def _told(rows: Counter[Any], most: int, words: Callable[[Any], str]) -> None:
    for what, count in rows.most_common(most):
        print(f"{count:6d}  {words(what)}")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench.walk", description=__doc__.partition("\n")[0])
    options.add_argument("client", nargs="?", default="messages", choices=PATHS, help="its protocol")
    options.add_argument("upstream", nargs="?", default="chat", choices=PATHS, help="its protocol")
    options.add_argument("--whole", action="store_true", help="a reply in one piece")
    options.add_argument("--pairs", type=int, default=30, help="lines of the table of pairs of files")
    options.add_argument("--calls", type=int, default=0, help="lines of the table of functions")
    options.add_argument("--alive", action="store_true", help="each object in the middle of a request")
    options.add_argument("--in-order", action="store_true", help="each call, in order")
    asked = options.parse_args()
    bench = Bench(asked.client, asked.upstream, streams=not asked.whole)
    walk = bench.walks(1)
    switches = walk.switches
    kind = "whole" if asked.whole else "streamed"
    print(f"{asked.client} -> {asked.upstream}, {kind}: {len(walk.functions)} functions, {len(walk.files)} files, "
          f"{len(walk.calls)} calls, {switches.total()} switches of file")  # fmt: skip
    if not asked.whole:
        more = bench.walks(11)
        each = (len(more.calls) - len(walk.calls)) / 10, (more.switches.total() - switches.total()) / 10
        print(f"each further delta: {each[0]:g} calls, {each[1]:g} switches")
    alive = bench.alive()
    owned = [attributes(one) for one in alive]
    booleans = sum(isinstance(value, bool) for values in owned for value in values.values())
    print(f"alive in the middle: {len(alive)} objects, {sum(map(len, owned))} attributes, {booleans} booleans")
    if asked.alive:
        for one, values in sorted(zip(alive, owned, strict=True), key=lambda pair: -len(pair[1])):
            print(f"{len(values):6d}  {type(one).__module__}.{type(one).__name__}: {' '.join(values)}")
    rooms: Counter[tuple[str, str]] = Counter()
    for (above, below), count in switches.items():
        rooms[_room(above), _room(below)] += count
    print("\nswitches, by room (that begin or end there)")
    of_each: Counter[str] = Counter()
    for pair, count in rooms.items():
        for room in set(pair):
            of_each[room] += count
    _told(of_each, asked.pairs, str)
    print("\nswitches, by pair of rooms")
    _told(rooms, asked.pairs, " -> ".join)
    print("\nswitches, by pair of files")
    _told(switches, asked.pairs, " -> ".join)
    if asked.calls:
        print("\ncalls, by function")
        called = Counter(f"{_file(code)}:{code.co_firstlineno} {code.co_qualname}" for _, code in walk.calls)
        _told(called, asked.calls, str)
    if asked.in_order:
        print("\ncalls, in order")
        for caller, code in walk.calls:
            print(f"{_file(caller) + ':' + caller.co_name if caller else '-':60s} {_file(code)}:{code.co_qualname}")


if __name__ == "__main__":
    main()
