"""The client's own names of fields, for reports and refusals: the neutral form has other names. A conversation carries
those of the protocol that it came in."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from translate.fields.ledger import Table

EMPTY = Table("", "name |")


class Words(Struct, frozen=True):
    """history: the field of the conversation's turns. thoughts: earlier thinking. thinking: the wish for some, however
    it is worded; effort: the same where it is a word; display: how much of it is shown, "" where the protocol leaves
    that open. output: the form of the answer; tool_schema: of a tool's arguments. image: a picture. cache_key: the name
    under which a prompt is kept, "" where there is no word for it. citations: what a text of the history cites, "" for
    a protocol whose servers read none of it. verbosity: how much the model is to write. user: who asks. parallel: may
    there be several calls at once. sees_thoughts: servers show what was thought, for which no field can ask. ledger:
    what becomes of each field. own: other fields, by the name that most clients have for them."""

    history: str = "messages"
    stop: str = "stop"
    thoughts: str = "thinking"
    thinking: str = "reasoning_effort"
    effort: str = "reasoning_effort"
    display: str = ""
    output: str = "response_format"
    tool_schema: str = "tools.parameters"
    image: str = "image"
    cache_key: str = "prompt_cache_key"
    citations: str = ""
    verbosity: str = "verbosity"
    user: str = "user"
    parallel: str = "parallel_tool_calls"
    sees_thoughts: bool = False
    ledger: Table = EMPTY
    own: Mapping[str, str] = field(default_factory=dict)


NOBODY = Words()
"""Of a conversation that came from no client."""
