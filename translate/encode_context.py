"""What an encoder keeps at hand while it writes one request: the upstream's habits, and what it leaves behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

from translate import repair
from translate.conversation import Conversation, Ext, Part, Text, Thinking, Tool, ToolCall, Turn, Unknown
from translate.fields import leftovers
from translate.parts import readable
from translate.recurring import written
from translate.target import Protocol, Target

Of = TypeVar("Of", Turn, Tool)
Out = TypeVar("Out")

MAX_MANNERS = 1_000
MOST_DROPPED = 200  # names that are told, logged and counted; a body may have 200,000 fields that nobody knows
MAX_KNOWN = 4  # forms of one turn or tool, for a few models and upstreams
_manners: dict[Any, int] = {}
_numbers = itertools.count()


class Draft:
    """The request that is being written. takes: the groups of leftovers that its encoder reads. home: the conversation
    goes back to the protocol that it came from, and must come out as it was. searches: a search of the client is
    offered as the upstream's own. recurs: parts of it come from memory. dropped: what does not cross, in the client's
    words, each once. tool_names: sent -> given, for names that had to change."""

    __slots__ = (
        "_dropped", "_manner", "_protocol", "home", "policy", "recurs", "searches", "takes", "target", "tool_names",
        "words",
    )  # fmt: skip

    def __init__(self, conversation: Conversation, target: Target, protocol: Protocol, *shared: str) -> None:
        """protocol: the one that is written. shared: groups of leftovers that it shares with other protocols."""
        self._protocol = protocol
        self.takes = (protocol, *shared)
        self.home = protocol in conversation.ext
        self.policy = target.policy
        self.target = target
        self.searches = self.recurs = False
        self.words = conversation.words
        self.tool_names: dict[str, str] = {}
        self._dropped: dict[str, None] = {}
        self._manner = -1

    def __repr__(self) -> str:
        return f"<Draft dropped {list(self._dropped)}>"

    @property
    def dropped(self) -> list[str]:
        return list(itertools.islice(self._dropped, MOST_DROPPED))

    def drop(self, field: str) -> None:
        """Reports a field that does not cross; it is in the client's words, or in those of most clients."""
        own = self.words.own
        self._dropped[own.get(field, field) if own else field] = None

    def of(self, given: Of, write: Callable[[Of, Draft], Out]) -> Out:
        """Returns write(given, self), from memory if the same was written before in the same way. `write` may ask the
        draft for what stays the same for a model, and tell it what does not cross."""
        known = given.known
        if known is None:
            return write(given, self)
        self.recurs = True
        if self._manner < 0:
            self._manner = self._number()
        found = known.get((write, self._manner))
        if found is None:
            if len(known) >= MAX_KNOWN:
                known.clear()
            before = self._dropped, self.tool_names
            self._dropped, self.tool_names = {}, {}
            try:
                out = written(write(given, self))
                found = known[write, self._manner] = out, self._dropped, self.tool_names
            finally:
                self._dropped, self.tool_names = before
        if found[1]:
            self._dropped.update(found[1])
        if found[2]:
            self.tool_names.update(found[2])
        out_before: Out = found[0]
        return out_before

    def _number(self) -> int:
        """Returns a number for all that decides how a turn or a tool is written, besides itself."""
        key = self._protocol, self.takes, self.home, self.policy, self.target.model, self.searches, id(self.words)
        if (number := _manners.get(key)) is None:
            if len(_manners) >= MAX_MANNERS:
                _manners.clear()  # what was written under an old number is written anew
            number = _manners[key] = next(_numbers)
        return number

    def leave(self, ext: Ext) -> None:
        """Reports what stays behind of another protocol's leftovers."""
        if ext and not self.home:
            for field in leftovers.of_part(ext, self.takes):
                self.drop(field)

    def leave_part(self, part: Part) -> None:
        """Reports the same of a part, with its citations: no protocol takes another one's sources in a history."""
        if part.ext:  # most parts have no leftovers
            self.leave(part.ext)
        if isinstance(part, Text) and part.citations and self.words.citations:
            if any(cited.protocol != self._protocol for cited in part.citations):
                self.drop(self.words.citations)

    def in_words(self, part: Part) -> str:
        """Returns what a person would read of a part that the protocol has no form for. Returns "" where there is
        nothing to read; then the part's type is reported, as where there are bytes beside the words. Raises BadRequest
        for input that the model must see."""
        if isinstance(part, Thinking):
            self.drop(self.words.thoughts)
            return ""
        if not isinstance(part, Unknown):
            self.drop(type(part).__name__.lower())
            return ""
        self.leave({part.protocol: part.raw | {"citations": None}})  # there they ask for citations
        text = readable.unknown(part, self._protocol, self.words.ledger)
        if not text or readable.has_bytes(part):
            self.drop(part.kind)
        return text

    def name(self, given: str) -> str:
        """Returns a tool's name as the upstream takes it. A changed one is remembered for the reply."""
        if self.home:
            return given
        sent = repair.tool_name(given)
        if sent != given:
            self.tool_names[sent] = given
        return sent

    def call_id(self, given: str) -> str:
        """Returns a tool call's id as Messages and Responses take it."""
        return given if self.home else repair.tool_id(given)

    def shown(self, call: ToolCall, before: int) -> str:
        """Returns the id under which the model knows a call, for texts that name it (see pairing.Shown)."""
        return self.call_id(call.id)
