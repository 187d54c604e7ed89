"""A language for tests of a Flow, without sockets and without real time: `book >> event << command`.

`>>` lets something happen (the client sends, an upstream answers, time passes), `<<` says what the proxy does because
of it, in order: no more and no less. Commands are words: "ask a", "cancel a", "200" (a head to the client), "write hi",
"end", "abort", "over". What the proxy holds when all is over is nothing: `book.is_clean()`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPHeaders, RequestStartLine

from gateway import wiring
from gateway.flow.flow import Flow
from gateway.flow.info import Finished, Info
from gateway.flow.ports import Ports
from gateway.flow.states import State
from gateway.flow.token_counting import Counting
from gateway.flow.waves import ALONE, Waves
from gateway.http.auth import Access
from gateway.http.loop_guard import Hops
from gateway.limits.admission import Admission
from gateway.limits.body_memory import BodyMemory
from gateway.limits.rate_limit import Quota
from gateway.passing.refusal_hold import Refusing
from gateway.process.drains import Drains
from gateway.process.worker_rpc import WorkerRpc
from gateway.refusals.learned_quirks import LearnedQuirks
from gateway.routing.balancing import Places
from gateway.routing.router import Router
from gateway.shared.shared_quota import Quotas
from gateway.stored.store import ResponseStore
from operate.logs.redaction import Redaction
from operate.settings.load import read
from tests.gateway.limits.virtual import VirtualLoop
from translate import dialects
from upstream.failure import Failure

Event = Callable[["Book"], None]
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
TEXT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
ROLE = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
WHOLE: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}  # fmt: skip


class Exchange:
    """One that an upstream's name stands for. Its sink hears nothing after a cancel."""

    connection = "new"
    ended_well = False

    def __init__(self, book: Book, name: str, sink: Any, request: Any) -> None:
        self._book = book
        self.name = name
        self.sink: Any = sink
        self.request = request
        self.paused = False

    def cancel(self) -> None:
        if self.sink is not None:
            self.sink = None
            self._book.does(f"cancel {self.name}")

    def ignore(self) -> None:
        self.sink = None

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class Writer:
    """The client, as the Flow sees it. slow: it does not read, so that nothing is flushed."""

    kept = None

    def __init__(self, book: Book) -> None:
        self._book = book
        self.more = b""
        self.state = "open"
        self.written = 0
        self.closed = self.left = self.slow = False
        self.on_full: Callable[[], None] = lambda: None
        self.on_drained: Callable[[], None] = lambda: None
        self.on_left: Callable[[], None] | None = None
        self.waits: Callable[[bool], None] | None = None
        self.body = b""

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        self.state = "done"
        self.written = len(body)
        self.body = body
        self._book.does(str(status))

    def start(self, status: int, head: bytes) -> None:
        self.state = "streaming"
        self._book.does(str(status))

    may_wait = False

    def sign(self, data: bytes) -> None:
        self.write(data)

    def write(self, data: bytes) -> None:
        if data:
            self.written += len(data)
            self.body += data
            self._book.does("write " + _text(data))

    write_last = write

    def end(self) -> None:
        if self.state == "streaming":
            self.state = "done"
            self._book.does("end")

    def abort(self) -> None:
        self.state = "done"
        self._book.does("abort")

    def cut_off(self) -> bool:
        if self.slow:
            self.abort()
        return self.slow

    def watch(self, on_left: Callable[[], None]) -> None:
        self.on_left = on_left
        if self.closed:
            on_left()

    def leaves(self) -> None:
        if self.on_left is not None:
            self.on_left()

    def hang_up(self) -> None:
        self.leaves()
        self.abort()

    def over(self) -> None:
        self.on_full = self.on_drained = lambda: None
        self.on_left = None

    def last(self) -> None:
        return None

    def when_sent(self, then: Callable[[bool], None]) -> None:
        if self.slow:
            self.waits = then
        else:
            then(True)


def _text(data: bytes) -> str:
    """What a model's words are in it, or the kind of thing that it is."""
    words = ""
    for line in data.decode().splitlines():
        value = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if value[:1] == "{":
            said = json.loads(value)
            if "error" in said:
                return "error"
            choice = (said.get("choices") or [{}])[0].get("delta", {})
            words += choice.get("content") or (said.get("delta") or {}).get("text") or ""
    return words or ("ping" if b"ping" in data else "done" if b"DONE" in data or b"stop" in data else "...")


class Connection:
    stream = context = None


class Book:
    """settings: of upstreams a, b ... and models; the usual ones where there are none. writer: makes what writes to a
    client, instead of the usual one; joins: see Ports."""

    def __init__(self, settings: str = "", writer: Any = None, joins: Any = None) -> None:
        self.loop = VirtualLoop()
        self.done: list[str] = []
        self.exchanges: list[Exchange] = []
        self.flows: list[Flow] = []
        self.in_flight: set[Any] = set()
        self.finishes: list[Finished] = []
        self.infos: list[Info] = []
        chosen = read(settings or USUAL, environ={})
        self.places = Places(wiring.breaker_limits(chosen))
        self.router = Router(chosen, None, self.places)
        for upstream in self.router.upstreams.values():  # by this clock
            up, now = upstream.settings, self.loop.time()
            if upstream.quota is not None:
                upstream.quota = Quota(up.requests_per_minute, up.tokens_per_minute, now)
        self.admission = Admission(wiring.admission_limits(chosen), self.loop.time)
        self.response_store = BodyMemory(chosen.server.max_body_bytes)
        self.quirks = LearnedQuirks()
        self.quotas = wiring.client_quotas(chosen, {}, Quotas())
        self._keys = 0
        hops = Hops("book")
        retry = wiring.retry_policy(chosen)
        self.ports = Ports(
            now=self.loop.time, unix=lambda: 1.7e9, call_later=self.loop.call_later, random=random.Random(1),
            beside=self._beside, send=self._send, writer=writer or (lambda conn, key: Writer(self)),
            next_key=self._next_key, joins=joins,
            in_flight=self, observer=self, access=Access(chosen, Redaction(), hops), hops=hops,
            router=self.router, drained=Drains(WorkerRpc()), admission=self.admission, body_memory=self.response_store,
            quota_of=lambda client: self.quotas.get(client), price_of=lambda *names: None, masked=lambda body: body,
            quirks=self.quirks, counting=Counting(self.loop.time), response_store=ResponseStore(10, 1 << 20, 3600.0),
            worker_rpc=WorkerRpc(), retry=retry, deadline_s=chosen.retry.deadline,
            max_body_bytes=chosen.server.max_body_bytes, body_timeout_s=chosen.server.body_timeout,
            learns=True, strict=False, hedges=(lambda model: True) if chosen.retry.hedge else None,
            hold=Refusing if retry.on_refusal else None, waves=self.waves(self.loop),
        )  # fmt: skip

    @staticmethod
    def waves(loop: VirtualLoop) -> Waves:
        return ALONE

    # ------------------------------------------------------------------------------------ the language

    def __rshift__(self, event: Event | float) -> Book:
        """An event, or seconds that pass."""
        if isinstance(event, int | float):
            self.loop.advance(event)
            return self
        with self.loop.running():
            event(self)
        self.loop.advance()
        return self

    def __lshift__(self, command: str) -> Book:
        wanted = [word.strip() for word in command.split(",") if word.strip()]
        assert self.done == wanted, f"did {self.done}, and not {wanted}"
        self.done.clear()
        return self

    def does(self, command: str) -> None:
        self.done.append(command)

    @property
    def flow(self) -> Flow:
        return self.flows[-1]

    @property
    def state(self) -> State:
        return self.flow.state

    def is_clean(self) -> bool:
        """Nothing is held for anybody."""
        upstreams = self.router.upstreams.values()
        held = (
            len(self.in_flight), self.response_store.held, self.admission.busy, self.admission.waiting,
            sum(up.gate.busy + up.gate.cheap for up in upstreams), sum(place.busy for place in self.places),
            sum(exchange.sink is not None for exchange in self.exchanges), self.loop.timers,
        )  # fmt: skip
        assert held == (0,) * len(held), held
        return True

    # ----------------------------------------------------------------------------- what a Flow is given

    def _send(self, request: Any, sink: Any) -> Exchange:
        name = request.url.split("//")[1].split(".")[0]
        exchange = Exchange(self, name, sink, request)
        self.exchanges.append(exchange)
        self.does(f"ask {name}")
        return exchange

    async def _beside(self, work: Callable[[], Any]) -> Any:
        return work()

    def _next_key(self) -> str:
        self._keys += 1
        return f"key{self._keys}"

    def begins(self, flow: Any) -> None:
        self.in_flight.add(flow)

    def asks(self, asking: Any) -> None:
        return None

    def ends(self, flow: Any) -> None:
        self.in_flight.discard(flow)

    def sent(self, info: Info, body: bytes) -> None:
        self.infos.append(info)

    def finished(self, info: Finished, writer: Any) -> None:
        self.finishes.append(info)
        self.does("over")


USUAL = """
[upstream a]
protocol = chat
base_url = http://a.test
[upstream b]
protocol = chat
base_url = http://b.test
[models]
m = a, b
one = a
"""


# ------------------------------------------------------------------------------------------ the client


def begins(protocol: Any = "chat", task: str = "", **headers: str) -> Event:
    """The head of a request."""

    def event(book: Book) -> None:
        dialect = dialects.of(protocol)
        endpoint = dialect.endpoint(task)
        assert endpoint is not None
        flow = Flow(book.ports, Connection(), dialect, endpoint)  # type: ignore[arg-type]
        book.flows.append(flow)
        named = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
        flow.headers_received(RequestStartLine("POST", PATHS[protocol], "HTTP/1.1"), named)

    return event


def body(model: str = "m", stream: bool = True, raw: bytes = b"", **fields: Any) -> Event:
    def event(book: Book) -> None:
        said = {"model": model, "stream": stream, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        book.flow.data_received(raw or json.dumps(said | fields).encode())
        book.flow.finish()

    return event


def asks(model: str = "m", stream: bool = True, protocol: Any = "chat", task: str = "", **fields: Any) -> Event:
    """A whole request."""

    def event(book: Book) -> None:
        begins(protocol, task)(book)
        body(model, stream, **fields)(book)

    return event


def leaves(nth: int = -1) -> Event:
    def event(book: Book) -> None:
        flow = book.flows[nth]
        writer: Any = getattr(flow.writer, "own", flow.writer)  # of a reply that others share
        writer.closed = writer.left = True
        if flow.state is not State.RECEIVING:
            writer.leaves()
        else:
            flow.on_connection_close()

    return event


def slow(book: Book) -> None:
    """The client reads nothing from now on."""
    book.flow.writer.slow = True  # type: ignore[attr-defined]


def drains(book: Book) -> None:
    """The client has all that was written."""
    waits = book.flow.writer.waits  # type: ignore[attr-defined]
    assert waits is not None
    waits(True)


def ticks(patience_s: float = 15.0) -> Event:
    def event(book: Book) -> None:
        for flow in list(book.in_flight):
            flow.tick(patience_s, patience_s)

    return event


def shuts_down(book: Book) -> None:
    for flow in list(book.in_flight):
        flow.shut_down()


# ---------------------------------------------------------------------------------------- an upstream


def _live(book: Book, name: str) -> Exchange:
    return next(each for each in reversed(book.exchanges) if each.name == name and each.sink is not None)


def head(name: str, status: int = 200, **headers: str) -> Event:
    def event(book: Book) -> None:
        pairs = [(key.replace("_", "-"), value) for key, value in headers.items()]
        _live(book, name).sink.on_head(status, pairs)

    return event


def says(name: str, words: str) -> Event:
    """A piece of a stream, after its head where that is due."""
    return data(name, TEXT % words.encode())


def data(name: str, chunk: bytes) -> Event:
    def event(book: Book) -> None:
        exchange = _live(book, name)
        if exchange.sink.status == 0:
            exchange.sink.on_head(200, [("content-type", "text/event-stream")])
        exchange.sink.on_data(chunk)

    return event


def closes(name: str, failure: Failure | None = None) -> Event:
    def event(book: Book) -> None:
        exchange = _live(book, name)
        sink, exchange.sink = exchange.sink, None
        sink.on_end(failure)

    return event


def ends(name: str) -> Event:
    """The rest of a stream."""

    def event(book: Book) -> None:
        data(name, DONE)(book)
        closes(name)(book)

    return event


def replies(name: str, status: int = 200, reply: Any = None, **headers: str) -> Event:
    """A whole one."""

    def event(book: Book) -> None:
        head(name, status, **headers)(book)
        shown = WHOLE if status == 200 else {"error": {"message": "no", "type": "x"}}
        _live(book, name).sink.on_data(json.dumps(reply or shown).encode())
        closes(name)(book)

    return event


def fails(name: str, kind: str = "closed", replayable: bool = True, fresh: bool = False) -> Event:
    return closes(name, Failure(kind, "host: words", replayable, fresh=fresh))
