"""A turn that takes several requests: which parts of each reply the client gets, when the turn goes on, and with which
request.

Some replies end although the client's reply does not: the model has searched for tools, and the proxy has the answer
(tool_search.py); or the conversation had grown long, and was summarized first (compaction.py); or the provider pauses a
long turn of its own tools, and a client of another protocol cannot know that it must send the turn back. Then what has
come so far is appended to the conversation, and the upstream is asked again. The client sees one reply with one
beginning and one end, whose usage is the sum. A reply that also calls tools of the client ends all the same: the client
answers those calls, and brings the search back in its history.
"""

from __future__ import annotations

from msgspec.structs import replace

from translate.conversation import (
    Close,
    Delta,
    Event,
    Ext,
    Fault,
    Open,
    Part,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Turn,
    Unknown,
    Usage,
)
from translate.counting import usage
from translate.json import wire
from translate.responses.client_tools import CALLS
from translate.target import Asked
from translate.tools import tool_search
from translate.tools.deferred_calls import DeferredCalls
from translate.tools.tool_search import SearchReply

_WHOLE = ("tool_calls", "end", "pause")  # a reply with such an end is whole


class Rounds:
    """Takes the events of each reply and gives those that the client gets. goes_on: the reply has ended and the turn
    has not; the caller resets it when it asks the next request. turns: what has come so far, for that request. usage:
    of the earlier rounds, until the end gives the sum."""

    __slots__ = (
        "_asked", "_calls", "_deferred", "_n", "_part", "_parts", "_pieces", "_searched", "_searching", "_started",
        "_search_reply", "goes_on", "turns", "usage",
    )  # fmt: skip

    def __init__(self, asked: Asked, search_reply: SearchReply, calls_after_search: bool = False) -> None:
        """search_reply, calls_after_search: how the client is told of a search (see dialect.Dialect)."""
        self._asked = asked
        self._search_reply = search_reply
        self._deferred: DeferredCalls | None = None
        if calls_after_search and asked.search is not None:
            self._deferred = DeferredCalls(asked.search, search_reply, asked.key)
        self._started = False
        self._part: Part | None = None
        self._pieces: list[bytes] = []
        self._searching: ToolCall | None = None  # its arguments are still coming
        self._n = 0  # searches so far
        self._begin()
        self.goes_on = False
        self.turns: list[Turn] = []
        self.usage: Usage | None = None

    def __repr__(self) -> str:
        return f"<Rounds {len(self.turns)} over, {'going on' if self.goes_on else 'in one'}>"

    def _begin(self) -> None:
        self._parts: list[Part] = []
        self._calls = self._searched = False  # the client has calls to answer; the proxy has searched

    def passed(self, events: list[Event]) -> list[Event]:
        out = self._gathered(events)
        return out if self._deferred is None else self._deferred.passed(out)

    def _gathered(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case Start():
                    out += [] if self._started else [event]
                    self._started = True
                case Open():
                    self._open(event, out)
                case Delta():
                    self._pieces += event.pieces
                    out += [event] if self._searching is None else []
                case Close():
                    self._close(event, out)
                case Stop():
                    self._stop(event, out)
                case Fault():
                    self._searching = None
                    out.append(event)
                case _:
                    out.append(event)
        return out

    def _open(self, event: Open, out: list[Event]) -> None:
        part, search = event.part, self._asked.search
        self._pieces = []
        if search is not None and isinstance(part, ToolCall) and part.name in search.names:
            self._searching = part
            return
        self._part = part
        out.append(event)

    def _close(self, event: Close, out: list[Event]) -> None:
        text = wire.text_of(self._pieces)
        if self._searching is not None:
            self._search(self._searching, text, out)
            return
        if self._part is not None:
            self._parts.append(_said(self._part, text, event))
            self._calls = self._calls or _is_clients(self._part)
            self._part = None
        out.append(event)

    def _search(self, call: ToolCall, arguments: str, out: list[Event]) -> None:
        search = self._asked.search
        assert search is not None
        self._searching = None
        found = tool_search.search(search, call.name, arguments)
        told = self._search_reply(search, found, call.name, self._asked.key, self._n)
        self._n += 1
        self._searched = True
        self._parts += told
        for part in told:
            out += [Open(part), Close()]

    def _stop(self, stop: Stop, out: list[Event]) -> None:
        if self._searching is not None:  # the call was cut off
            self._searching = None
        total = usage.added(self.usage, stop.usage)
        pauses = stop.reason == "pause" and self._asked.pauses
        wants = (self._searched or pauses) and not self._calls and stop.reason in _WHOLE and bool(self._parts)
        wants = wants or (stop.reason == "compaction" and self._asked.answers)
        if wants and len(self.turns) < self._asked.policy.max_continuations:
            self.goes_on = True
            self.usage = total
            self.turns.append(Turn("assistant", self._parts))
            self._begin()
            return
        if wants and stop.reason != "compaction":  # the limit is reached: the client may ask for the rest
            stop = replace(stop, reason="pause")
        elif stop.reason == "pause" and self._calls:
            stop = replace(stop, reason="tool_calls")
        self.usage = None  # the end gives the sum
        out.append(replace(stop, usage=total))


def _is_clients(part: Part) -> bool:
    """Tells whether it is a call that the client runs."""
    return isinstance(part, ToolCall) or (isinstance(part, Unknown) and part.kind in CALLS)


def _said(part: Part, text: str, close: Close) -> Part:
    """Returns a part of a reply as one of a history."""
    ext: Ext = dict(part.ext)
    for protocol, left in close.ext.items():
        ext[protocol] = ext.get(protocol, {}) | left
    match part:
        case Text():
            return replace(part, text=text, ext=ext, citations=[*part.citations, *close.citations])
        case Refusal():
            return replace(part, text=text, ext=ext)
        case Thinking():
            return replace(part, text=text, signature=close.signature or part.signature, ext=ext)
        case ToolCall():
            return replace(part, arguments=text)
    return part
