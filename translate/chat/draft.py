"""What an encoder keeps at hand while it writes one request: the target, and what it leaves behind."""

from __future__ import annotations

from translate import leftovers, repair
from translate.conversation import Conversation, Ext
from translate.target import Policy

# What another protocol may say about a part that has no place in Chat: reported when it is left out.
_REPORTED = (
    "cache_control", "citations", "output_config", "input_examples", "allowed_callers",
    "eager_input_streaming",
)  # fmt: skip


class Draft:
    """`from_chat`: the conversation goes back to the protocol it came from, and must come out the same."""

    __slots__ = ("_dropped", "from_chat", "policy", "thoughts", "tool_names")

    def __init__(self, conversation: Conversation, policy: Policy) -> None:
        self.from_chat = "chat" in conversation.ext
        self.policy = policy
        self.thoughts = leftovers.thoughts(conversation)
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
        if not self.from_chat:
            for leftovers in ext.values():
                for field in _REPORTED:
                    if field in leftovers:
                        self.drop(field)

    def name(self, given: str) -> str:
        """A tool's name as the upstream takes it; a changed one is remembered for the way back."""
        if self.from_chat:
            return given
        sent = repair.tool_name(given)
        if sent != given:
            self.tool_names[sent] = given
        return sent
