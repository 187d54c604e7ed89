"""(client protocol, upstream protocol) -> how to cross: the one door into this package.

`request` turns the client's body into the upstream's; `Crossing` turns the upstream's reply into the
client's, whole or streamed, and always ends it legally. Both are built from the two protocols' own packages
by way of the neutral form; there is no code for any single pair.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import structs
from msgspec.structs import replace

from translate import compaction, dialects
from translate.continued_turn import Rounds
from translate.conversation import (
    Close,
    Conversation,
    Delta,
    Event,
    Fault,
    Open,
    Start,
    Stop,
    Text,
    ToolCall,
    Turn,
    Unknown,
    Usage,
)
from translate.counting import usage
from translate.dialect import Decoder, Dialect, Encoder
from translate.failures import errors
from translate.fields import fit, leftovers
from translate.json import wire
from translate.json.json_fields import Body
from translate.json.lenient import EMPTY, body_of
from translate.parts import foreign_parts, readable_parts
from translate.schemas import offer, restored
from translate.streams.reading import Look, as_it_is
from translate.summary_reply import SummaryReply
from translate.target import Asked, Encoded, Protocol, Reshaped, Target
from translate.tools import answer_tool, distinct_tools, provider_tools, websearch
from translate.tools.bridge import BridgedReply
from translate.tools.offered_names import OfferedNames

FEW_TURNS = 3  # nobody sends more that say nothing


def request(client: Protocol, upstream: Protocol, body: Body, target: Target, more: Sequence[Turn] = ()) -> Encoded:
    """Returns the client's decoded JSON body as the upstream's. `body` is left as it is, so that a retry may cross it
    again for another target. more: what has come of the turn so far, where it goes on. Raises BadRequest."""
    try:
        return _request(dialects.of(client), dialects.of(upstream), body, target, more)
    except RecursionError:  # the parser takes a thousand levels of JSON; a walk through it needs more frames than that
        raise errors.BadRequest("the request is nested too deeply") from None


def _request(client: Dialect, upstream: Dialect, body: Body, target: Target, more: Sequence[Turn]) -> Encoded:
    conversation = client.decode_request(body)
    if client is upstream and not target.policy.rebuild:
        return _encoded(client, upstream, body, target, conversation)
    conversation.turns += [turn for turn in more if turn.parts]
    if client is not upstream:
        conversation = client.followed(conversation)
        if conversation.turns and conversation.turns[0].role == "system":
            conversation = readable_parts.headed(conversation)
    way = client.compaction
    conversation, wish = way.wished(conversation)
    changes = compaction.tool_changes(conversation) if wish is not None else ()
    conversation, lost = compaction.opened(conversation, way.keeps_users)
    compacts = wish is not None and target.tokens >= wish.at and not more
    if wish is not None and compacts:
        conversation = compaction.summary_wanted(conversation, wish, way.answers_calls)
    own = provider_tools.crossed(conversation, client.says_client_search, target.policy.deferred_tools)
    encoded = _encoded(client, upstream, body, target, own.conversation)
    encoded.compacts, encoded.tool_changes = compacts, changes
    encoded.answers = compacts and wish is not None and wish.goes_on
    if not compacts or encoded.answers:
        encoded.forms, encoded.search = own.forms, own.search
        encoded.pauses = client is not upstream and _pauses(upstream, own.conversation, target)
    encoded.dropped += lost
    if client is upstream:
        lost = leftovers.lost(own.conversation, encoded.body)
        encoded.dropped += [name for name in lost if name not in encoded.dropped]
    return encoded


def _pauses(upstream: Dialect, conversation: Conversation, target: Target) -> bool:
    """Tells whether the upstream may pause the turn, since it runs a search itself."""
    searchers = upstream.searchers
    return upstream.pauses and searchers is not None and websearch.has(conversation, target, searchers)


def _encoded(client: Dialect, upstream: Dialect, body: Body, target: Target, conversation: Conversation) -> Encoded:
    policy = target.policy
    words = client.words
    left: list[str] = []
    answers = ""
    functions = conversation.one_call
    bare = client is not upstream and conversation.output is not None and conversation.output.bare
    if client is not upstream:
        conversation = readable_parts.without_media(conversation, model_shows=upstream.model_shows)
        if upstream.wants_turns and conversation.system and len(conversation.turns) < FEW_TURNS:
            conversation = readable_parts.spoken(conversation)
        if len(conversation.tools) > 1:
            conversation, twice = distinct_tools.of(conversation)
            left += twice
        if functions:
            conversation = replace(conversation, parallel_tools=False)
    if policy.output_schema != "native":
        conversation, answers = answer_tool.offered(conversation, alone=policy.output_schema == "tool")
    elif client is not upstream and offer.cannot_say(conversation.output, upstream.schemas, target.model):
        conversation, answers = answer_tool.offered(conversation, any_root=True)
        if not answers:  # a tool of the client's own must be called
            left.append(words.output)
    elif client is not upstream and offer.cannot_stand(conversation, upstream.schemas, target.model):
        conversation, answers = answer_tool.offered(conversation, alone=False)
        if not answers and conversation.output is not None:
            conversation = replace(conversation, output=None)
            left.append(words.output)
    if not policy.fits:
        conversation, blind = fit.conversation(conversation, policy)
        left += blind
    offered = offer.offer(conversation, client is upstream, upstream.schemas, target)
    left += offered.dropped
    encoded = upstream.encode_request(offered.conversation, target)
    encoded.answer_tool = answers
    encoded.reshaped = offered.reshaped
    if bare and (answers or offered.conversation.output is not None):
        key = ("", answers) if answers else restored.ANSWER
        encoded.reshaped[key] = structs.replace(encoded.reshaped.get(key, Reshaped()), bare=True)
    encoded.functions, encoded.free_text = functions, conversation.free_text
    encoded.offered = tuple([tool.name for tool in offered.conversation.tools if not tool.namespace])
    encoded.dropped += [field for field in left if field not in encoded.dropped]
    if not policy.fits:
        fit.body(encoded, words.ledger, upstream.name, body, policy.drop, policy.rename)
    return encoded


_LIST = re.compile(rb"\s*+\[")


class Crossing:
    """One reply on its way from `upstream`'s protocol to `client`'s.

    fault: the ApiError that the reply turned out to be, else None; it is set before any byte is given out where
    it comes first, so that the caller may still answer with a real status. Where `goes_on`, the upstream's reply has
    ended and the client's has not: the request, and `turns` after it, is to be asked once more, and that reply read
    after `next_round`. look: what a stream's events are given to before they are read.
    """

    __slots__ = (
        "_answer", "_as_said", "_before", "_bridge", "_call_ids", "_client", "_decoder", "_earlier", "_encoder",
        "_foreign", "_forms", "_latest", "_look_at", "_offered", "_paragraphs", "_recorded", "_rounds", "_schemas",
        "_sent", "_summary", "_upstream", "_usage", "asked", "ended", "fault",
    )  # fmt: skip

    def __init__(self, client: Protocol, upstream: Protocol, asked: Asked, look: Look = as_it_is) -> None:
        self._look_at = look
        self._client = dialects.of(client)
        self._upstream = dialects.of(upstream)
        self._decoder: Decoder | None = None
        self._encoder: Encoder | None = None
        self._bridge = BridgedReply(asked) if asked.custom or asked.namespaces else None
        self._schemas = restored.RestoredSchemas(asked) if asked.reshaped else None
        self._answer = answer_tool.AnswerAsText(asked.answer_tool) if asked.answer_tool else None
        self._summary = SummaryReply(self._client.compaction, asked) if asked.compacts else None
        self._foreign: foreign_parts.ForeignParts | None = None  # of a reply that has such parts
        self._forms = provider_tools.NativeCalls(asked.forms, asked.key) if asked.forms else None
        self._rounds = (
            Rounds(asked, self._client.search_reply, calls_after_search=self._client.calls_after_search)
            if asked.search is not None or asked.pauses or asked.answers
            else None
        )
        self._sent = asked  # of the request that was sent last
        self._offered: OfferedNames | None = None  # once there is a call
        self._call_ids: set[str] = set()
        self._earlier: list[Event] = []  # what the rounds before have brought of a whole reply
        self._recorded: list[Event] | None = None  # all events of a stream, see record()
        self._before: Literal["", "text", "tool"] = ""  # a text, or, after one, a call or what a provider's tool did
        self._paragraphs: foreign_parts.Paragraphs | None = None  # of a reply that has several
        self.asked = asked
        self.ended = False  # the client has its terminal event
        self.fault: errors.ApiError | None = None
        self._usage: Usage | None = None
        self._latest = b""
        self._as_said = self._changes_nothing()

    def __repr__(self) -> str:
        return f"<Crossing {self._upstream.name} -> {self._client.name} {self._decoder!r} {self._encoder!r}>"

    def record(self) -> None:
        """Records the stream's events. When it has ended, the reply is there as a whole, too."""
        self._recorded = []

    def recorded(self) -> Body:
        """Returns the client's whole body, of a stream that has ended well."""
        return self._client.collect(self._recorded or [], self.asked)

    @property
    def usage(self) -> Usage | None:
        """Returns the usage that the reply tells; if it broke off or failed, what it had told until then."""
        told = self._decoder.usage if self._decoder is not None else None
        now = self._usage or told
        return now if self._rounds is None else usage.added(self._rounds.usage, now)

    @property
    def complete(self) -> bool:
        """Tells whether the reply has come to its good end, so that nothing of its usage is still to come."""
        return self._usage is not None or (self.ended and self.fault is None)

    @property
    def sample(self) -> bytes:
        """Some of the stream as it was written, the latest: of what a reply says that has not told its usage."""
        return self._latest

    def _changes_nothing(self) -> bool:
        """Tells whether the upstream's events are the client's, as nearly always. A delta needs no look then."""
        changed = self._summary or self._schemas or self._answer or self._bridge or self._forms or self._rounds
        return changed is None

    # ----------------------------------------------------------------------------------------- its rounds

    @property
    def goes_on(self) -> bool:
        return self._rounds is not None and self._rounds.goes_on

    @property
    def turns(self) -> list[Turn]:
        return self._rounds.turns if self._rounds is not None else []

    def next_round(self, asked: Asked) -> None:
        """Prepares for the next upstream reply of the same turn. asked: of the request that is sent now. Names that the
        client knows already stay good."""
        assert self._rounds is not None
        self._rounds.goes_on = False
        self._summary = None
        self._bridge = BridgedReply(asked) if asked.custom or asked.namespaces else None
        self._answer = answer_tool.AnswerAsText(asked.answer_tool) if asked.answer_tool else None
        self._sent, self._offered = asked, None
        self._as_said = self._changes_nothing()
        self.asked.tool_names.update(asked.tool_names)

    # ------------------------------------------------------------------------------------ whole replies

    def whole(self, raw: bytes, streamed: bool = False) -> bytes:
        """Returns the client's whole body, b"" where the reply goes on. streamed: the upstream sent a stream all the
        same. Raises ApiError."""
        events = self._events_of(raw, streamed)
        self._look(events)
        if self.fault is not None:
            raise self.fault
        if self.goes_on:
            self._earlier += events
            return b""
        return wire.dumps(self._client.collect(self._earlier + events, self.asked))

    def whole_as_stream(self, raw: bytes) -> bytes:
        """Returns a whole reply for a client that asked for a stream. Raises ApiError."""
        events = self._events_of(raw, streamed=False)
        self._look(events)
        if self.fault is not None:
            raise self.fault
        return self._encode(events)

    def _events_of(self, raw: bytes, streamed: bool) -> list[Event]:
        if streamed or (raw[:1] != b"{" and _LIST.match(raw)):  # a stream as one array, or an error in a list
            self._decoder = decoder = self._upstream.decoder(self.asked.policy)
            return self._unbridged([*decoder.feed(raw), *decoder.end()])
        body = body_of(raw)
        events: list[Event] = []
        try:
            events = self._upstream.explode(body, self.asked.policy)
        finally:
            if not events or not isinstance(events[-1], Stop):  # which would tell it
                self._usage = usage.of(self._upstream.usage, body)
        return self._unbridged(events)

    def _unbridged(self, events: list[Event]) -> list[Event]:
        for event in events:
            if type(event) is Open:
                part = event.part
                if part.ext:
                    foreign_parts.leave_part(part.ext, self._client.name, self.asked.left)
                if type(part) is ToolCall:
                    self._offered = self._offered or OfferedNames(self._sent)
                    self._offered.correct(part)
                    self._make_distinct(part)
                    self._before = self._before and "tool"
                elif type(part) is Unknown:
                    self._meet_foreign()
                    if self._before and not part.parts:
                        self._before = "tool"
                elif type(part) is Text:
                    part.apart = self._before == "tool" or (part.apart and self._before == "text")
                    self._before = "text"
                    if part.apart and self._client.joins_texts and not self._upstream.joins_texts:
                        self._paragraphs = self._paragraphs or foreign_parts.Paragraphs()
            elif type(event) is Close and event.citations:
                self._meet_foreign()
        events = self._changed(events)
        if self._paragraphs is not None:
            events = self._paragraphs.passed(events)
        return events if self._foreign is None else self._foreign.passed(events)

    def _changed(self, events: list[Event]) -> list[Event]:
        if self._summary is not None:
            events = self._summary.passed(events)
            return events if self._rounds is None else self._rounds.passed(events)
        if self._schemas is not None:
            events = self._schemas.passed(events)
        if self._answer is not None:
            events = self._answer.passed(events)
        if self._bridge is not None:
            events = self._bridge.passed(events)
        if self._forms is not None:
            events = self._forms.passed(events)
        return events if self._rounds is None else self._rounds.passed(events)

    def _meet_foreign(self) -> None:
        """Looks at each event from here on: one may be of a part that the client's protocol does not have."""
        if self._foreign is None:
            client = self._client
            self._foreign = foreign_parts.ForeignParts(
                client.name, client.shows, self.asked.left, said=self._before != ""
            )

    def _make_distinct(self, call: ToolCall) -> None:
        """Gives a call another id where one of the reply has it already: results name their call by it."""
        if call.id in self._call_ids:
            call.id = f"{call.id}_{len(self._call_ids)}"
        if call.id:
            self._call_ids.add(call.id)

    # ------------------------------------------------------------------------------------------ streams

    @property
    def started(self) -> bool:
        return self._encoder is not None and self._encoder.started

    def begin(self) -> bytes:
        """Returns the client's stream up to the first part, once the upstream has begun its own; b"" before that, and
        the second time."""
        begun = bool(self.turns) or (self._decoder is not None and self._decoder.begun)
        if self.started or not begun:
            return b""
        return self._encode([Start()])

    def feed(self, chunk: bytes) -> bytes:
        if self._decoder is None:
            self._decoder = self._upstream.decoder(self.asked.policy)
            self._decoder.look = self._look_at
        return self._pass(self._decoder.feed(chunk))

    def end(self) -> bytes:
        """Called when the upstream has closed. Without a terminal event before, this is an error, and the client is
        told so."""
        if self._decoder is None:
            return self.fail(errors.BadReply(EMPTY, is_empty=True))
        return self._pass(self._decoder.end())

    def fail(self, error: errors.ApiError) -> bytes:
        """Called when the upstream broke off. That does no harm if all of the reply was there; nothing is written if it
        had ended."""
        if self._decoder is not None and self._decoder.complete and not self.ended:
            return self.end()
        return self._pass([Fault(error)])

    def ping(self) -> bytes:
        if self._encoder is None:
            return self._client.marks.comment
        return self._encoder.ping()

    def _pass(self, events: list[Event]) -> bytes:
        if self._as_said and self._encoder is not None and len(events) == 1 and type(events[0]) is Delta:
            return self._encode(events)  # nearly all of a stream
        events = self._unbridged(events)
        if not events and not self.goes_on:
            return b""
        self._look(events)
        if self.fault is not None and not self.started and not any(type(event) is Start for event in events):
            return b""  # nothing went out yet, so the caller answers with a status
        return self._encode(events)

    def _encode(self, events: list[Event]) -> bytes:
        if self._encoder is None:
            self._encoder = self._client.encoder(self.asked)
        if self._recorded is not None:
            self._recorded += events
        out = self._encoder.emit(events)
        if not events or type(events[-1]) is not Delta:
            self.ended = self._encoder.ended
        if out and (self.fault is None or len(out) > len(self._latest)):  # what it said, and not the error alone
            self._latest = out
        return out

    def _look(self, events: list[Event]) -> None:
        last = events[-1] if events else None
        if self.goes_on:
            self._decoder = self._usage = None  # the sum includes it
        elif isinstance(last, Stop):
            self._usage = last.usage
            if last.ext:
                foreign_parts.leave(last.ext, self._client.name, self.asked.left)
        elif isinstance(last, Fault) and not self.ended:
            error = last.error
            self.fault = error if isinstance(error, errors.ApiError) else errors.BadReply(str(error))
