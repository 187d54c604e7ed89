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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from translate import model_list
from translate.compaction import NO_COMPACTION, Compaction
from translate.conversation import Conversation, Event, Part, Usage
from translate.counting.text_turns import TextRequest
from translate.counting.usage import UsageReader
from translate.endpoint import Endpoint
from translate.failures import rate_headers
from translate.failures.errors import ApiError, ErrorWriter
from translate.fields.words import Words
from translate.json.json_fields import Body
from translate.reasoning.sealed_reasoning import MARK
from translate.schemas.table import USUAL, Writes
from translate.streams.reading import Look
from translate.target import Asked, Encoded, Policy, Target
from translate.tools.tool_search import SearchReply
from translate.tools.websearch import Searchers

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
        """The upstream has begun a reply, even if the client can be told nothing of it yet."""

    @property
    def complete(self) -> bool:
        """The reply has come to its end, and not by an error: nothing more of it is missing."""

    @property
    def usage(self) -> Usage | None:
        """The usage that the reply has told so far."""

    def feed(self, chunk: bytes) -> list[Event]: ...

    def end(self) -> list[Event]: ...


class Encoder(Protocol):
    """Events as the bytes of one client's stream. It begins with the first event that needs it, and writes nothing
    after its terminal event. A Fault leaves an open call as it is, since clients run what is closed."""

    @property
    def started(self) -> bool:
        """Something was written that makes the status a 200."""

    @property
    def ended(self) -> bool:
        """The terminal event was written."""

    def emit(self, events: list[Event]) -> bytes: ...

    def ping(self) -> bytes:
        """Returns a sign of life that is legal at this moment; b"" if none is."""


class Reply(Protocol):
    """One upstream's reply on its way to the client, translated or passed through. Until `started` is set, the client
    has got nothing, so that `fault` can still become a status or lead to another attempt."""

    @property
    def started(self) -> bool: ...

    @property
    def ended(self) -> bool:
        """The client has the terminal event, and this object wrote it."""

    @property
    def goes_on(self) -> bool:
        """The upstream's reply has ended, but the client's has not: another request continues it."""

    @property
    def fault(self) -> ApiError | None:
        """The error that the reply turned out to be."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def complete(self) -> bool:
        """The reply has come to its end, and not by an error: nothing more of it is missing."""

    @property
    def sample(self) -> bytes:
        """Some of the latest bytes that were written."""

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


class Marks(Struct, frozen=True):
    """How a stream of the protocol is read without being parsed. Patterns and bytes:

    terminal       only the last event has this
    refusal        the model declines
    content        the first useful event has this
    ping           a sign of life within a stream that has begun
    comment        a sign of life before that
    model          the model's name in a line
    long_terminal  the beginning of the last event, if that event may be longer than what is remembered
    last           nothing comes after this, even with several choices; None = only the upstream's close tells
    head_bytes     how many bytes of the stream's beginning are needed to write an error at its end
    """

    terminal: re.Pattern[bytes]
    refusal: re.Pattern[bytes]
    content: re.Pattern[bytes]
    ping: bytes = EARLY_PING
    comment: bytes = EARLY_PING
    model: re.Pattern[bytes] = re.compile(rb'("model"\s*:\s*")[^"\\]*(")')
    long_terminal: re.Pattern[bytes] | None = None
    last: re.Pattern[bytes] | None = None
    head_bytes: int = 0


class Errors(Struct, frozen=True):
    """How an ApiError is written. body(error, request_id): a whole reply. event(error, request_id): the last event of a
    stream that has begun. status: of a whole reply. last(error, head, sent, model): the last event of a stream whose
    bytes passed through; head: its first `Marks.head_bytes`, sent: its latest bytes, model: the client's name for the
    model if that differs. left_out(fields): what is added to the refusal of a request whose fields could not cross."""

    body: ErrorWriter
    event: ErrorWriter
    status: Callable[[ApiError], int]
    last: Callable[[ApiError, bytes, bytes, str], bytes]
    left_out: Callable[[list[str]], str] = lambda fields: ""


class Asks(Struct, frozen=True):
    """How a request says how long its reply may be. names: of the field, with their quotes. depth: how many brackets
    are open where the field stands; at another depth it is something else, such as an argument of a tool."""

    names: tuple[bytes, ...]
    depth: int = 1


MAX_TOKENS = Asks((b'"max_tokens"',))


class TokenCounting(Struct, frozen=True):
    """How a count of tokens is asked for and answered. check: raises BadRequest if the body is no such request. body:
    writes the answer. field: where an answer has the number."""

    check: Callable[[Body], None]
    body: Callable[[int], bytes]
    field: str = "input_tokens"


class MadeFiles(Struct, frozen=True):
    """How a reply names the files that a model's code has written. tool: bytes that are in each request for it.
    in_events(lines), in_reply(body): the ids in whole lines of a stream, and in a whole reply."""

    tool: bytes
    in_events: Callable[[bytes], Iterable[str]]
    in_reply: Callable[[bytes], Iterable[str]]


class ModelListing(Struct, frozen=True):
    """How the list of models is written. row: one model. page(models, query): the list, or the page of it that was
    asked for; raises BadRequest for a page that does not exist. query: asks an upstream for its whole list. paths:
    where clients ask for it, besides /v1/models."""

    row: Callable[[model_list.ListedModel], Body] = model_list.row
    page: Callable[[Sequence[model_list.ListedModel], Mapping[str, str]], Body] = model_list.page
    query: str = ""
    paths: tuple[str, ...] = ()


class Http(Struct, frozen=True):
    """How the protocol uses HTTP. auth: the header of the key, and what stands before the key in it. headers: are sent
    to every upstream, unless the client sent the same header. betas: the header that asks for features beyond the
    protocol, "" = none. any_header: upstreams get all headers of such a client, except those of other protocols;
    otherwise they get the known ones. query_key: the query parameter in which clients may send their key. rate_headers:
    tell a client what is left of its limits. asks(headers): whether a request comes from a client of this protocol, if
    its path does not tell."""

    auth: tuple[str, str] = ("authorization", "Bearer ")
    headers: Mapping[str, str] = field(default_factory=dict)
    betas: str = ""
    any_header: bool = False
    query_key: str = ""
    rate_headers: rate_headers.RateHeaders = rate_headers.openai
    asks: Callable[[Mapping[str, str]], bool] = lambda headers: False


class Dialect(Struct, frozen=True):
    """A protocol, as the rest of the program knows it.

    name: in settings, logs and addresses. endpoints: the first one is for replies. carries: the other protocols, best
    first, by how much of a request they carry; those that are not named come after them. counting: None if clients
    cannot ask for a count. echo: the fields of a request that its reply repeats. looks_like(body, headers): whether a
    body is probably one of this protocol; if it looks like none, the last row of the table is taken. asks: how a
    request says how long its reply may be. usual: as an example, fields that clients send and that servers refuse now
    and then.

    Requests that cross: schemas: how upstreams are given schemas. searchers: the models that search the web.
    compaction: how clients have a conversation summarized. search_reply: how clients see a search for deferred tools
    that the proxy has made. calls_after_search: it sees one before the first call of each (see deferred_calls.py).
    says_client_search: a search that the client runs itself is marked as one. followed: puts text into a conversation
    whose history only points to text that its own upstream has kept. pauses: upstreams may
    pause a turn. shows: which pictures and sounds of other providers fit into a reply. model_shows: the same parts fit
    into the model's turns of a request. joins_texts: clients read all texts of a reply as one. wants_turns:
    instructions without a turn are no request.

    Requests that do not cross: inner_model(body, asked, model) gives the model another name within a body whose address
    names it. without_foreign(body) takes out thinking that the upstream has not signed, and returns its names.
    summaries_in_words(body) turns summaries of the proxy into text, and returns whether there were any. These two
    change the body.

    What only some protocols have: open_reasoning: each server chooses where it puts reasoning. wishes_usage: a stream
    tells its usage only if the request asks for it. stores: replies are kept under their ids, and requests build on
    them. thread_mark: bytes that are in each body that builds on a kept conversation, b"" = there are none.
    as_stream(body), as_whole(stream): the reply in the other form, without a loss, if both forms tell the same;
    as_whole returns None for a stream that has not ended well. seal_mark: how a seal of the proxy begins in a body.
    unserved: addresses of the API that are not served here, and what a client can do instead. told_apart(headers): what
    a reply that is written for this client differs by from one for others, "" = by nothing. opens(name, data): whether
    an event of a stream comes before the model has said anything, and may be followed by an error. fails(name, data):
    the error of an event by which a reply that has said nothing ends in failure, in the protocol's own form.
    broken(body): the error by which a whole reply is one, in that form. keeps_failed: such a reply is one all the same,
    so that the client gets it as it came where nobody else is asked. made_files: how a reply names files that it has
    made, which are asked for at the address of files.

    aside: fields of a request that are not for the model, and that its reply does not repeat. text_turns: the messages
    of a request that is nothing but text; None if nobody knows how servers count them. single_turns: the same, if every
    protocol has just these messages, so that nothing need be translated.
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
    calls_after_search: bool = False
    says_client_search: bool = False
    without_foreign: Callable[[Body], list[str]] = lambda body: []
    summaries_in_words: Callable[[Body], bool] = lambda body: False
    followed: Callable[[Conversation], Conversation] = lambda conversation: conversation
    inner_model: Callable[[bytes, str, str], bytes] = lambda body, asked, model: body
    pauses: bool = False
    wants_turns: bool = False
    shows: Callable[[Part], bool] = lambda part: False
    model_shows: bool = False
    joins_texts: bool = False
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
    text_turns: Callable[[Body], TextRequest | None] | None = None
    single_turns: Callable[[Body], TextRequest | None] = lambda body: None
    seal_mark: bytes = MARK
    unserved: tuple[tuple[re.Pattern[str], str], ...] = ()
    told_apart: Callable[[Mapping[str, str]], str] = lambda headers: ""
    opens: Callable[[bytes, bytes], bool] = lambda name, data: False
    fails: Callable[[bytes, bytes], ApiError | None] = lambda name, data: None
    broken: Callable[[bytes], ApiError | None] = lambda body: None
    keeps_failed: bool = False
    made_files: MadeFiles | None = None

    def __repr__(self) -> str:
        return f"<Dialect {self.name}>"

    def endpoint(self, task: str = "") -> Endpoint | None:
        """Returns the endpoint for the task, None if the protocol has none."""
        return next((each for each in self.endpoints if each.task == task), None)

    @property
    def pings(self) -> tuple[bytes, ...]:
        """All signs of life that the proxy may have put into a stream."""
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
        """Whether an upstream counts tokens only if its settings say so."""
        count = self.endpoint("count")
        return count is not None and count.optional

    def served(self, task: str) -> str:
        """Returns where clients ask for the task, "" if they cannot."""
        found = self.endpoint(task)
        return found.path if found is not None else ""
