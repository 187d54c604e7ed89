"""What a protocol is to the rest of the program: a `Dialect`, of which there is one for each.

Everything that differs between protocols stands in it, or in its package, and nowhere else: whoever handles a request
takes its two dialects from the table in dialects.py and asks them. No other file compares a protocol with a name.

The invariants, which the tests hold for every row of the table:
- A decoder never mutates what it is given, and a request decoded and encoded again in its own protocol is the same.
- Whatever bytes come, a `Decoder` gives at most one Start, parts that do not overlap, and one Stop or Fault, the last.
- Whatever events come, an `Encoder` writes a legal stream that ends with its terminal event, or with an error.
- `explode` gives the events that the streamed reply would have given; `collect` the body that the stream has told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from translate import model_list, rate_headers
from translate.compaction import NO_COMPACTION, Compaction
from translate.conversation import Conversation, Event, Part, Usage
from translate.errors import ApiError
from translate.reading import Look
from translate.schemas.table import USUAL, Writes
from translate.sealed_reasoning import MARK
from translate.target import Asked, Encoded, Policy, Target
from translate.text_turns import Said
from translate.tool_search import SearchReply
from translate.usage import UsageReader
from translate.websearch import Searchers
from translate.words import Words

Body = dict[str, Any]
"""A JSON object, decoded."""

EARLY_PING = b": ping\n\n"
"""A sign of life before a stream has begun."""


class Decoder(Protocol):
    """The bytes of one upstream's stream as events. Call `feed` for each chunk, however it was cut, and `end` once when
    the upstream has closed. Neither raises: what cannot be read is a Fault. After Stop or Fault no event comes."""

    look: Look

    @property
    def ended(self) -> bool:
        """Stop or Fault has been given."""

    @property
    def begun(self) -> bool:
        """The upstream has begun a reply, even if nothing of it can be told yet."""

    @property
    def complete(self) -> bool:
        """The reply has come to its end: nothing more of it is missing."""

    @property
    def usage(self) -> Usage | None:
        """Returns what the reply has said so far that it takes."""

    def feed(self, chunk: bytes) -> list[Event]: ...

    def end(self) -> list[Event]: ...


class Encoder(Protocol):
    """Events as the bytes of one client's stream. It begins with the first event that needs it, and writes nothing
    after its terminal event. A Fault leaves what is open as it is, since clients run what is closed."""

    @property
    def started(self) -> bool:
        """Something was written that fixes the status at 200."""

    @property
    def ended(self) -> bool:
        """The terminal event was written."""

    def emit(self, events: list[Event]) -> bytes: ...

    def ping(self) -> bytes:
        """Returns a sign of life that is legal now; b"" where none is."""


class Reply(Protocol):
    """One upstream's reply on its way to the client, translated or passed through. Until `started` is set nothing has
    been given out, so that `fault` can still become a status, or another attempt."""

    @property
    def started(self) -> bool: ...

    @property
    def ended(self) -> bool:
        """The client has its terminal event, by our hand."""

    @property
    def goes_on(self) -> bool:
        """The upstream's reply has ended and the client's has not: another request continues it."""

    @property
    def fault(self) -> ApiError | None:
        """Returns the error that the reply turned out to be."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def complete(self) -> bool:
        """The reply has come to its end: nothing more of it is missing."""

    @property
    def sample(self) -> bytes:
        """Returns some of what was written, the latest."""

    def whole(self, raw: bytes, streamed: bool = False) -> bytes:
        """Returns a whole reply as the client's whole body. Raises ApiError."""

    def whole_as_stream(self, raw: bytes) -> bytes:
        """Returns a whole reply for a client that asked for a stream. Raises ApiError."""

    def begin(self) -> bytes:
        """Returns the client's stream up to its first part, once the upstream has begun its own."""

    def feed(self, chunk: bytes) -> bytes: ...

    def end(self) -> bytes:
        """Called when the upstream has closed."""

    def fail(self, error: ApiError) -> bytes:
        """Called when the upstream broke off."""

    def ping(self) -> bytes: ...


class ErrorWriter(Protocol):
    """An error in the words of the protocol."""

    def __call__(self, error: ApiError, request_id: str = "") -> bytes: ...


class Framing(Protocol):
    """A stream of server-sent events in another form, on its way to the client. Nothing of an event's data changes."""

    def feed(self, events: bytes) -> bytes:
        """events: whole lines."""

    def end(self) -> bytes:
        """Called when all events are out."""

    def ping(self) -> bytes:
        """Returns a sign of life that is legal between two events."""


@dataclass(frozen=True, slots=True)
class Framed:
    """What a client's reply is at an address where it differs from the protocol's own. content_type: of streams, which
    are not made of server-sent events. whole: of a reply that is no stream. error: None = as the protocol says it."""

    content_type: str
    framing: Callable[[], Framing]
    whole: Callable[[bytes], bytes] = lambda raw: raw
    error: ErrorWriter | None = None


class Unsealed(NamedTuple):
    """A body as the protocol has it, and the headers of the protocol that stood in it."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of the protocol. task: "" = a model's reply, "count" = how many tokens a request has, "compact" = a
    summary. path: where clients ask; "{model}" in it stands for the model's name, which is then not in the body, and
    "{}" for any one segment. upstream: what is appended to an upstream's base URL, with "{model}" likewise. streams:
    whether the reply is a stream, where the address says so; None = the body does, in its field "stream". optional: an
    upstream has it only if its settings say so. relayed: no other protocol has it, so it goes to upstreams of this one,
    as it is. streamed: its bodies are no JSON, or large, and pass through as they come. framed(query): the form of a
    reply, None for the protocol's own. opened(body): the body as the protocol has it, and the names of what is left
    out; it raises BadRequest. unsealed(body, model, streams): the same without a parse, where the address holds the
    model and whether it streams. alone(body): what is answered where nothing is asked of a model; None = something is.
    deterministic: equal requests have equal answers. usual_model: where none is named. other: of unlike bodies."""

    task: str
    path: str
    upstream: str
    streams: bool | None = None
    optional: bool = False
    relayed: bool = False
    deterministic: bool = False
    streamed: bool = False
    framed: Callable[[Mapping[str, str]], Framed | None] | None = None
    opened: Callable[[Body], tuple[Body, list[str]]] | None = None
    unsealed: Callable[[bytes, str, bool | None], Unsealed] | None = None
    alone: Callable[[Body], bytes | None] | None = None
    usual_model: str = ""
    other: Other | None = None


class Other(NamedTuple):
    """The endpoint of bodies that have one key, in its quotes, and lack another."""

    has: bytes
    lacks: bytes
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Marks:
    """How a stream of the protocol is read without being parsed. terminal: what only its last event holds. last:
    that after which nothing comes, whatever its choices were; None where only the upstream's close tells. refusal: what
    says that the model declines. content: what the first useful event holds. ping: a sign of life within a
    stream that has begun; comment: the same before. model: where a line tells the model's name. long_terminal:
    that the last event has begun, where it may be longer than what is remembered. head_bytes: how much of the
    beginning an error at the end needs to know of."""

    terminal: re.Pattern[bytes]
    refusal: re.Pattern[bytes]
    content: re.Pattern[bytes]
    ping: bytes = EARLY_PING
    comment: bytes = EARLY_PING
    model: re.Pattern[bytes] = re.compile(rb'("model"\s*:\s*")[^"\\]*(")')
    long_terminal: re.Pattern[bytes] | None = None
    last: re.Pattern[bytes] | None = None
    head_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Errors:
    """How an ApiError is said. body(error, request_id), event(error, request_id): the whole reply, and the last event
    of a stream that has begun. status: of a whole reply. last(error, head, sent, model): the event where the stream's
    bytes passed through: the first `Marks.head_bytes` of them, the latest, and the name that the client has for the
    model where it differs. left_out(fields): what is added to the refusal of a request whose fields could not cross."""

    body: ErrorWriter
    event: ErrorWriter
    status: Callable[[ApiError], int]
    last: Callable[[ApiError, bytes, bytes, str], bytes]
    left_out: Callable[[list[str]], str] = lambda fields: ""


class Asks(NamedTuple):
    """How a request says how long its reply may be. names: of the field, in their quotes. depth: how many brackets are
    open where it stands; elsewhere it is another's, such as an argument of a tool."""

    names: tuple[bytes, ...]
    depth: int = 1


MAX_TOKENS = Asks((b'"max_tokens"',))


@dataclass(frozen=True, slots=True)
class TokenCounting:
    """How the number of a request's tokens is asked for and told. check raises BadRequest for what is no request.
    field: where an answer has the number."""

    check: Callable[[Body], None]
    body: Callable[[int], bytes]
    field: str = "input_tokens"


@dataclass(frozen=True, slots=True)
class ModelListing:
    """How the list of models is told. page(models, query): the list, or the page of it that was asked for; it raises
    BadRequest for what is no page. query: what an upstream is asked with, so that its list comes whole. paths: where
    clients ask for it, beside /v1/models."""

    row: Callable[[model_list.ListedModel], Body] = model_list.row
    page: Callable[[Sequence[model_list.ListedModel], Mapping[str, str]], Body] = model_list.page
    query: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Http:
    """How the protocol uses HTTP. auth: the header of the key, and what stands before the key in it. headers: said to
    every upstream, unless the client said the same header. betas: the header that names what is asked for beyond
    the protocol, "" for none. any_header: upstreams are sent whatever headers such a client says, but for those of
    others; else those that are known. query_key: the parameter in which clients may say their key. rate_headers: how a
    client learns what is left of its bounds. asks(headers): whether a request whose path tells nothing comes from a
    client of this protocol."""

    auth: tuple[str, str] = ("authorization", "Bearer ")
    headers: Mapping[str, str] = field(default_factory=dict)
    betas: str = ""
    any_header: bool = False
    query_key: str = ""
    rate_headers: rate_headers.RateHeaders = rate_headers.openai
    asks: Callable[[Mapping[str, str]], bool] = lambda headers: False


@dataclass(frozen=True, slots=True)
class Dialect:
    """name: in settings, logs and addresses. endpoints: the first is the one of replies. carries: the other protocols,
    the one first that carries most of a request; those that it does not name come after them. counting: None where its
    clients cannot ask. echo: what a request says that its reply says again. looks_like(body, headers): whether a body
    is probably one of this protocol; the last row of the table is taken where none does.

    asks: how a request says how long its reply may be.

    usual: fields that clients of it send and servers of it refuse now and then, as an example.

    Requests that cross: schemas: what upstreams are given schemas in. searchers: whose models search the web.
    compaction: how clients have a conversation summed up. search_reply: how they see a search for deferred tools that
    the proxy has made; says_client_search: a search that they run themselves says that it is one. followed: a
    conversation with words where its history only points to some, which its own upstream has kept. pauses: upstreams
    may pause a turn. shows: what pictures and sounds of other providers its replies have a place for;
    model_shows: so have the model's turns in requests. wants_turns: instructions alone are no request.

    Requests that do not cross: without_foreign(body) takes out thinking that the upstream has not signed, and names it;
    summaries_in_words(body) puts summaries of ours into words, and tells whether there were any. Both change the body.

    What only some protocols have: open_reasoning: where a server puts what was thought is its own choice. wishes_usage:
    a stream tells its usage only where the request asks for it. stores: replies are kept under their ids, and requests
    build on them. thread_mark: what a body holds that builds on a conversation which is kept, b"" where there is none.
    as_stream(body), as_whole(stream): a reply in the other form with nothing read or lost, where the forms tell the
    same; as_whole gives None for one that has not ended well.
    seal_mark: how a seal of ours begins in a body. unserved: addresses of its API that are not served here, and what a
    client can do instead.

    aside: the fields of a request that are not for the model, and that its reply does not repeat. text_turns: the
    messages of a request, if they are nothing but text; None where nobody knows how servers count these.
    single_turns: the same where every protocol has just these messages, too, so that nothing need be translated.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    decode_request: Callable[[Body], Conversation]
    encode_request: Callable[[Conversation, Target], Encoded]
    decoder: Callable[[Policy], Decoder]
    encoder: Callable[[Asked], Encoder]
    explode: Callable[[Body, Policy], list[Event]]
    collect: Callable[[list[Event], Asked], Body]
    usage: UsageReader
    words: Words
    errors: Errors
    marks: Marks
    schemas: Writes = USUAL
    searchers: Searchers | None = None
    compaction: Compaction = NO_COMPACTION
    search_reply: SearchReply = lambda search, found, name, key, n: []
    says_client_search: bool = False
    without_foreign: Callable[[Body], list[str]] = lambda body: []
    summaries_in_words: Callable[[Body], bool] = lambda body: False
    followed: Callable[[Conversation], Conversation] = lambda conversation: conversation
    pauses: bool = False
    wants_turns: bool = False
    shows: Callable[[Part], bool] = lambda part: False
    model_shows: bool = False
    asks: Asks = MAX_TOKENS
    http: Http = Http()
    models: ModelListing = ModelListing()
    carries: tuple[str, ...] = ()
    counting: TokenCounting | None = None
    echo: Callable[[Body], Body] = lambda body: {}
    looks_like: Callable[[Body, Mapping[str, str]], bool] = lambda body, headers: False
    usual: Body = field(default_factory=dict)
    open_reasoning: bool = False
    wishes_usage: bool = False
    stores: bool = False
    thread_mark: bytes = b""
    as_stream: Callable[[Body], bytes] | None = None
    as_whole: Callable[[bytes], bytes | None] | None = None
    aside: frozenset[str] = frozenset()
    text_turns: Callable[[Body], Said | None] | None = None
    single_turns: Callable[[Body], Said | None] = lambda body: None
    seal_mark: bytes = MARK
    unserved: tuple[tuple[re.Pattern[str], str], ...] = ()

    def __repr__(self) -> str:
        return f"<Dialect {self.name}>"

    def endpoint(self, task: str = "") -> Endpoint | None:
        """Returns None where the protocol has none for the task."""
        return next((each for each in self.endpoints if each.task == task), None)

    @property
    def pings(self) -> tuple[bytes, ...]:
        """All signs of life that its streams may hold of ours."""
        return self.marks.ping, self.marks.comment

    @property
    def path(self) -> str:
        """Where an upstream is asked for replies, below its base URL."""
        return self.endpoints[0].upstream

    @property
    def stream_path(self) -> str:
        """Where it is asked for replies that stream."""
        return next(each.upstream for each in self.endpoints if not each.task and each.streams is not False)

    @property
    def counts_by_choice(self) -> bool:
        """Tells whether the settings say of an upstream that it counts tokens."""
        count = self.endpoint("count")
        return count is not None and count.optional

    def served(self, task: str) -> str:
        """Returns where clients ask for the task, "" where they cannot."""
        found = self.endpoint(task)
        return found.path if found is not None else ""
