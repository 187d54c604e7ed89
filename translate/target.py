"""What a translator must know besides the bodies: where the request goes, and who asked.

`Target` is the upstream's side: its model and its habits (compatible servers differ in a handful of fields). `Asked` is
the client's side: what the translation of the reply needs of the request, and the values that pure code cannot make
itself (an id, the time, a local token count). Both are made for one request and do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from translate import recurring
from translate.conversation import Tool
from translate.json import wire

Protocol = str
"""The name of a protocol: a row of dialects.py."""

Form = tuple[str, str]
"""What the call of a function is told the client as: a kind of tool of its own protocol and "", or a toolset and the
member of it (see provider_tools.py)."""


class Policy(Struct, frozen=True):
    """An upstream's habits, from its section in settings.ini (the keys have the same names)."""

    max_tokens: int = 0  # clamp of the output limit; 0 = none
    max_tokens_field: str = "max_tokens"  # or max_completion_tokens (Chat only)
    reasoning: str = "reasoning_content"  # reasoning_content | reasoning | think_tags | none
    reasoning_history: str = "false"  # false | tool_calls | true | always: does reasoning go back upstream
    developer_role: bool = False  # system text as role "developer"
    stream_options: bool = True  # may stream_options.include_usage be sent
    drop: tuple[str, ...] = ()  # top-level fields of the upstream's body that are left out
    rename: tuple[tuple[str, str], ...] = ()  # (field, as the upstream calls it)
    tool_schema: str = "auto"  # auto (by protocol and model's name) | openai | gemini | grammar: its JSON schemas
    images: bool = True  # may images be sent; else a note stands for each
    reasoning_effort: str = "auto"  # auto (by the model's name) | true | false | known | words: the efforts it takes
    thinking_switch: str = "none"  # how thinking is switched on and off (Chat only): see effort.py
    max_stops: int = 4  # stop sequences, at most (Chat only)
    call_ids: bool = True  # may calls and their results have an id (Gemini only)
    web_search: str = "auto"  # auto (by the model's name) | true | false: does it search the web itself
    prompt_cache_key: bool = False  # may the proxy make one if the client has none (see affinity.py)
    output_schema: str = "native"  # tool: a reply's JSON schema is sent as a tool; chat: if there are others
    rebuild: bool = False  # requests of its own protocol are translated, too; it knows no tools but functions
    deferred_tools: int = 20  # from so many on the proxy searches them; fewer are all offered (see tool_search.py)
    max_continuations: int = 8  # further requests of one turn, at most (see continued_turn.py)
    proofs: bool = True  # does what gateways have signed go back in fields of theirs (Chat only; learned)
    only_streams: bool = False  # are whole replies asked for as streams, since it gives nothing else (learned)
    cache_marks: bool = False  # Messages: may the prompt's stable beginning be marked where the client marks nothing

    @property
    def fits(self) -> bool:
        """Whether the upstream takes requests as every upstream of its protocol does, so that nothing more is changed
        for it."""
        plain = self.images and self.output_schema == "native"
        return plain and not self.drop and not self.rename


class Target(Struct, frozen=True):
    """Where a request goes. model: the upstream's name for it. session: the client's, if a header names it. tokens: an
    estimate of the input, if that matters."""

    model: str
    policy: Policy = Policy()
    session: str = ""
    tokens: int = 0


class ToolSearch(Struct, frozen=True):
    """What the proxy needs to search for deferred tools itself. names: the function's name -> its kind. tools: all
    tools that were deferred, as the client declared them. abouts: the descriptions of their namespaces. shown:
    (namespace, name) of those that a search in the history shows."""

    names: dict[str, str]
    tools: tuple[Tool, ...]
    abouts: dict[str, str] = field(default_factory=dict)
    shown: frozenset[tuple[str, str]] = frozenset()


class Reshaped(Struct, frozen=True):
    """What the reply must know about a schema that had to be changed for the upstream (see schemas/). names: of
    properties, as sent -> as given. wrapped: everything is within an object of one property. bare: the client reads the
    string that is written as it is, not as JSON."""

    names: dict[str, str] = field(default_factory=dict)
    wrapped: bool = False
    bare: bool = False


# not frozen, though nobody changes it: to freeze so many fields costs each request 4 us
class Asked(Struct):
    """What the translation of a reply must know of the request.

    model          is repeated in the reply
    key            letters and digits, unique for this request; ids are made of it
    created        Unix seconds
    input_tokens   an estimate, used until the upstream tells the real count
    tool_names     names as sent upstream -> names as the client knows them (only those that differ)
    include_usage  a Chat client asked for the usage chunk
    headers        those of the client, for what only some of its libraries take
    clock          tells the time at which the reply is complete; None = `created` is used
    echo           what a Responses client asked for, which its reply repeats (see responses.items.echo)
    left           names of what did not cross; those of the reply are added

    custom, namespaces and the fields after them: see Encoded.
    """

    model: str
    key: str = "0"
    created: int = 0
    input_tokens: int = 0
    tool_names: dict[str, str] = field(default_factory=dict)
    include_usage: bool = False
    policy: Policy = Policy()
    custom: frozenset[str] = frozenset()
    namespaces: dict[str, tuple[str, str]] = field(default_factory=dict)
    answer_tool: str = ""
    compacts: bool = False
    answers: bool = False
    tool_changes: tuple[dict[str, Any], ...] = ()
    forms: dict[str, Form] = field(default_factory=dict)
    search: ToolSearch | None = None
    pauses: bool = False
    reshaped: dict[tuple[str, str], Reshaped] = field(default_factory=dict)
    functions: bool = False
    free_text: bool = True
    offered: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], int] | None = None
    echo: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


class Encoded(Struct):
    """A request body in the target's protocol.

    dropped        the client's fields that did not cross
    tool_names     changed tool names, as sent -> as the client knows them
    custom         sent names of free-form tools, if the upstream knows only functions (see bridge.py)
    namespaces     sent names -> (namespace, name), likewise
    answer_tool    the sent name of the tool whose arguments are the reply's text (see answer_tool.py)
    compacts       the request asks for a summary. tool_changes go along with it; with answers, an answer is to follow
                   (see compaction.py)
    cache_marks    how many cache marks the proxy has set (see messages/cache_marks.py)
    forms          the functions that stand for the client's own tools (see provider_tools.py)
    search         for deferred tools, if the proxy searches
    pauses         the upstream may pause the turn, and the client could not go on (see continued_turn.py)
    reshaped       changed schemas, for which what the model writes is changed back, by the tool's (namespace, name)
                   as the client has them; ("", "") is the reply's text
    functions      the Chat client uses functions, the older word for tools
    free_text      the Chat client offers tools that take free text, for whose calls the SDK's streams have no type
    offered        names of the tools that are in no namespace, as the client knows them (see offered_names.py)
    recurs         parts of the body were already written for an earlier request (see recurring.py)
    """

    body: dict[str, object]
    dropped: list[str] = field(default_factory=list)
    tool_names: dict[str, str] = field(default_factory=dict)
    custom: frozenset[str] = frozenset()
    namespaces: dict[str, tuple[str, str]] = field(default_factory=dict)
    answer_tool: str = ""
    compacts: bool = False
    answers: bool = False
    tool_changes: tuple[dict[str, Any], ...] = ()
    cache_marks: int = 0
    forms: dict[str, Form] = field(default_factory=dict)
    search: ToolSearch | None = None
    pauses: bool = False
    reshaped: dict[tuple[str, str], Reshaped] = field(default_factory=dict)
    functions: bool = False
    free_text: bool = True
    offered: tuple[str, ...] = ()
    recurs: bool = False

    def json(self) -> bytes:
        return recurring.dumps(self.body) if self.recurs else wire.dumps(self.body)
