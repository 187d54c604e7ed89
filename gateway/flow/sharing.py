"""A request that shares its answer: a count of tokens, a cached reply, or a part of a batch.

Most requests share nothing and have none of this. For the other requests, a Sharing stands between the Flow and the
parts that know who else asks: Counting (token_counting.py), the response cache (cache/cache.py), and what puts small
requests together (batches/embeddings.py). They read the request from it, tell it how the answer that it waits for has
ended, and hear from it how its own answer has ended. What that means for the request's state is left to the Flow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from gateway.cache.question import Kept, Question, Source
from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest
from gateway.flow.completion import Completion
from gateway.flow.failover import Failover
from gateway.flow.ports import Ports
from gateway.flow.states import Event, State
from gateway.flow.token_counting import BY_UPSTREAM, WhoCounts
from gateway.http import header_rules
from gateway.http.response_writer import Writer
from gateway.passing.reframed import Reframed
from gateway.routing.router import Route
from translate.conversation import Usage
from translate.failures.errors import ApiError

MOST_LATE = 1_000  # models of an upstream; there is a limit because clients choose their names
LATE_REST_S = 60.0  # for which a model that was late with a count is not asked for another


class Walk(Interface):
    """The part of a Flow that a Sharing uses."""

    request: ClientRequest
    completion: Completion
    failover: Failover
    writer: Writer
    lead: Attempt | None

    def on(self, event: Event, step: Callable[..., None], *args: Any) -> None:
        """Takes the step if the event counts in its state. Whatever the step raises ends the request."""

    def enter(self, event: Event, state: State) -> None: ...

    def share(self, event: Event) -> None:
        """Waits for another request's answer."""

    def go_on(self, event: Event) -> None:
        """Goes on to an upstream. Raises ApiError."""

    def write_by(self, writer: Writer) -> None:
        """Lets all that goes to the client go through this writer."""

    def end(self, event: Event, error: ApiError | None, write: Callable[..., ApiError | None], *args: Any) -> None:
        """Lets `write` write the last that the client gets."""

    def on_broken(self, error: Exception) -> None: ...


class Sharing:
    """Stands for a Flow. It is an Asker to Counting, a Sharer to the cache, and a Member to a batch."""

    __slots__ = ("_flow", "_ports")

    def __init__(self, flow: Walk, ports: Ports) -> None:
        self._flow = flow
        self._ports = ports

    def __repr__(self) -> str:
        return f"<Sharing of {self._flow!r}>"

    @property
    def request(self) -> ClientRequest:
        return self._flow.request

    @property
    def writer(self) -> Writer:
        return self._flow.writer

    # ---------------------------------------------------------------------------- before an upstream is asked

    def takes(self, event: Event, routes: list[Route]) -> bool:
        """Returns whether the reply comes from elsewhere: it is kept, on its way to another request, or will come with
        those of others. Raises BadRequest."""
        question = self.request.cached
        return (question is not None and self._is_answered(event, question)) or self._goes_with_others(event, routes)

    def _is_answered(self, event: Event, question: Question) -> bool:
        """Returns whether the reply is kept, or on its way to another request that asks the same."""
        flow, cache = self._flow, self._ports.cache
        assert cache is not None
        said = cache.asks(self, question)
        if isinstance(said, Kept):
            flow.end(event, None, flow.completion.kept, said)
        elif said is None:
            flow.share(event)
            if question.place is not None:
                question.place.begins()
        else:
            flow.write_by(said)
            return False
        return True

    def _goes_with_others(self, event: Event, routes: list[Route]) -> bool:
        """Returns whether the request waits for other small ones. Raises BadRequest."""
        gather = self._ports.gather
        if gather is None or not gather.takes(self, routes):
            return False
        self.request.data = None
        self._flow.share(event)
        return True

    def asks_count(self, event: Event, route: Route) -> bool:
        """Returns whether the upstream is asked for a count. If not, the request is answered here, now or later. Raises
        ApiError."""
        flow, ports = self._flow, self._ports
        said = ports.counting.asks(self, route, ports.quota_of(self.request.client), ports.now())
        if said is WhoCounts.BY_UPSTREAM:
            return True
        if said is WhoCounts.BY_ANOTHER:
            flow.share(event)
        elif said is WhoCounts.HERE:
            self.tell_count(event, route)
        else:
            head = flow.completion.own_head(route.upstream.name) + BY_UPSTREAM
            flow.end(event, None, flow.completion.whole, 200, head, said)
        return False

    def tell_count(self, event: Event, route: Route) -> None:
        """Answers with an estimate that is marked as one, where no upstream counts. Raises BadRequest."""
        completion = self._flow.completion
        head, body = self._ports.counting.estimated(self.request, route)
        self._flow.end(event, None, completion.whole, 200, head + completion.own_head(), body)

    def count_fails(self, event: Event, route: Route) -> None:
        """The same for a model that has not counted in time, or could not. It is not asked for a while, as each client
        would wait as long for its count. Raises BadRequest."""
        now, late = self._ports.now(), route.upstream.counts_from
        late.pop(route.model, None)  # goes to the end
        late[route.model] = now + LATE_REST_S
        while len(late) > MOST_LATE or next(iter(late.values())) <= now:
            del late[next(iter(late))]
        self.tell_count(event, route)

    # ------------------------------------------------------------------------- the answer that it waited for

    def shared(self, status: int, head: bytes, body: bytes, error: ApiError | None) -> None:
        """The answer for which this request waited is here."""
        flow = self._flow
        flow.on(Event.ANSWERED, flow.end, Event.ANSWERED, error, flow.completion.whole, status, head, body)

    def unshared(self, routes: list[Route] | None = None) -> None:
        """The answer for which this request waited does not come. routes: where the request may go, if it has not begun
        yet."""
        self._flow.on(Event.ALONE, self._goes_alone, routes)

    def _goes_alone(self, routes: list[Route] | None) -> None:
        if routes is not None:
            self._flow.failover.begin(routes)
        self._flow.go_on(Event.ALONE)

    def gathered(self, body: bytes, source: Source, used: Usage | None, attempts: int) -> None:
        """The part of this request in a reply that several have together. attempts: how many attempts this part stands
        for."""
        self._flow.on(Event.ANSWERED, self._gathered, body, source, used, attempts)

    def _gathered(self, body: bytes, source: Source, used: Usage | None, attempts: int) -> None:
        flow = self._flow
        flow.failover.attempts = attempts
        flow.completion.share = source, used
        head = header_rules.JSON_HEAD + flow.completion.own_head(source.upstream, source.dropped)
        flow.end(Event.ANSWERED, None, flow.completion.whole, 200, head, body)

    def gathered_fails(self, error: ApiError) -> None:
        flow = self._flow
        flow.on(Event.ANSWERED, flow.end, Event.ANSWERED, error, flow.completion.refuse, error, None)

    def shares_stream(self, source: Source) -> None:
        """The stream for which this request waited begins. Its pieces are written to the request's writer
        (cache/broadcast.py)."""
        self._flow.on(Event.FIRST_BYTE, self._shares_stream, source)

    def _shares_stream(self, source: Source) -> None:
        self._flow.enter(Event.FIRST_BYTE, State.STREAMING)
        self._flow.completion.begin_shared(source)

    def shared_ends(self, error: ApiError | None, *, aborted: bool) -> None:
        """The shared stream is over, or it came to nothing."""
        flow = self._flow
        if aborted:
            flow.on_broken(error or ApiError("api", "the reply that this request shares was broken off"))
        else:
            flow.on(Event.STREAM_END, flow.end, Event.STREAM_END, error, flow.writer.end)

    # --------------------------------------------------------------------------- its own, which others wait for

    def source(self) -> Source | None:
        """Returns where the reply comes from; None before an upstream was asked."""
        return self._flow.completion.source(self._flow.lead)

    def unframed(self) -> bytes | None:
        """Returns the reply in the form of its protocol, for a client that gets it in another form; None if that is not
        kept."""
        reply = self._flow.lead.reply if self._flow.lead is not None else None
        return reply.unframed if isinstance(reply, Reframed) else None

    def answered(self, error: ApiError | None) -> None:
        """All of the reply is written."""
        flow, ports = self._flow, self._ports
        if self.request.task == "count":
            ports.counting.answered(self, flow.completion.reply, error)
        if self.request.cached is not None and ports.cache is not None:
            ports.cache.answered(self, flow.completion.reply, error, flow.completion.used(flow.lead))

    def left(self) -> None:
        """The client has all of the reply, or has left."""
        if self.request.task == "count":
            self._ports.counting.left(self)
        if self.request.cached is not None and self._ports.cache is not None:
            self._ports.cache.left(self)
