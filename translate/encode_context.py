"""What an encoder of the OpenAI protocols keeps at hand while it writes one request: the upstream's habits, and what
it leaves behind."""

from __future__ import annotations

from translate import leftovers, repair
from translate.conversation import Conversation, Ext
from translate.target import Protocol, Target

MAX_CALL_ID = 64  # Responses refuses a longer call_id


class Draft:
    """`home`: the conversation goes back to the protocol it came from, and must come out the same."""

    __slots__ = ("_dropped", "_protocol", "home", "policy", "searches", "target", "tool_names", "words")

    def __init__(self, conversation: Conversation, target: Target, protocol: Protocol) -> None:
        self._protocol = protocol
        self.home = protocol in conversation.ext
        self.policy = target.policy
        self.target = target
        self.searches = False  # a search of the client's is offered as the upstream's own
        self.words = conversation.words
        self.tool_names: dict[str, str] = {}
        self._dropped: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Draft dropped {list(self._dropped)}>"

    @property
    def dropped(self) -> list[str]:
        return list(self._dropped)

    def drop(self, field: str) -> None:
        """`field` is in the client's words; each is told once."""
        self._dropped[field] = None

    def leave(self, ext: Ext) -> None:
        """Reports what of another protocol's leftovers stays behind."""
        if not self.home:
            for field in leftovers.of_part(ext, self._protocol):
                self.drop(field)

    def name(self, given: str) -> str:
        """A tool's name as the upstream takes it; a changed one is remembered for the way back."""
        if self.home:
            return given
        sent = repair.tool_name(given)
        if sent != given:
            self.tool_names[sent] = given
        return sent

    def call_id(self, given: str) -> str:
        """A tool call's id, as long as OpenAI takes it."""
        return given if self.home else repair.tool_id(given, MAX_CALL_ID)
