"""What a translator must know besides the bodies: where the request goes, and who asked.

`Target` is the upstream's side: its model and its habits (compatible servers differ in a handful of
fields). `Asked` is the client's side: what of the request the reply's translation needs, and the values
that pure code cannot make itself (an id, the time, a local token count). Both are per request, frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from translate import recurring, wire
from translate.conversation import Tool

Protocol = str
"""The name of a protocol: a row of dialects.py."""

Form = tuple[str, str]
"""What the call of a function is told the client as: a kind of tool of its own protocol and "", or a toolset and the
member of it (see provider_tools.py)."""


@dataclass(frozen=True, slots=True)
class Policy:
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
    reasoning_effort: str = "auto"  # auto (by the model's name) | true | false: may an effort be sent
    max_stops: int = 4  # stop sequences, at most (Chat only)
    call_ids: bool = True  # may calls and their results say an id (Gemini only)
    web_search: str = "auto"  # auto (by the model's name) | true | false: does it search the web itself
    prompt_cache_key: bool = False  # may one be made where the client brings none (see affinity.py)
    output_schema: str = "native"  # tool: a reply's JSON schema goes as a tool; chat: if there are others
    rebuild: bool = False  # it speaks its own protocol loosely, too, and knows no tools but functions
    deferred_tools: int = 20  # from so many on the proxy searches them; fewer are all offered (see tool_search.py)
    max_continuations: int = 8  # further requests of one turn, at most (see continued_turn.py)
    cache_marks: bool = False  # Messages: may the prompt's stable beginning be marked where the client marks nothing

    @property
    def fits(self) -> bool:
        """Tells whether the upstream takes a request as every upstream of its protocol does, so that nothing more is
        changed for it."""
        plain = self.images and self.output_schema == "native"
        return plain and not self.drop and not self.rename


@dataclass(frozen=True, slots=True)
class Target:
    """`model` is the upstream's own name for it. session: the client's, where a header names it. tokens: of the input,
    an estimate, where that matters."""

    model: str
    policy: Policy = Policy()
    session: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolSearch:
    """What the proxy needs to search for deferred tools itself. names: the function's name -> its kind. tools: all that
    were deferred, as the client declared them. abouts: what their namespaces say of themselves."""

    names: dict[str, str]
    tools: tuple[Tool, ...]
    abouts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reshaped:
    """What became of a schema that the upstream does not take as it is, for the reply (see schemas/). names: of
    properties, as sent -> as given. wrapped: all of it is the one property of an object."""

    names: dict[str, str] = field(default_factory=dict)
    wrapped: bool = False


@dataclass(slots=True)  # nobody changes it, but to freeze so many fields takes 4 us of each request
class Asked:
    """model: echoed in the reply. key: letters and digits, unique for this request (ids are made of it).
    created: Unix seconds. input_tokens: a local estimate, used until the upstream tells the real count.
    tool_names: names as sent upstream -> names as the client knows them (only those that differ).
    include_usage: a Chat client asked for the usage chunk. clock: tells the time at which the reply is complete, None
    for `created`. echo: what a Responses client said of the reply that it will get, which the reply says again (see
    responses.items.echo). left: names of what does not cross, to which those of the reply are added. custom, namespaces
    and what follows: see Encoded."""

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
    clock: Callable[[], int] | None = None
    echo: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Encoded:
    """A request body in the target's protocol; `dropped` names the client's fields that did not cross; `tool_names`
    maps changed tool names back. Where the upstream knows nothing but functions (see bridge.py): `custom` holds the
    sent names of free-form tools, `namespaces` maps sent names to (namespace, name). `answer_tool` is the sent name of
    the tool whose arguments are the reply's text (see answer_tool.py). `compacts`: it asks for a summary, in which
    `tool_changes` go along, and with `answers` an answer is to follow (see compaction.py). `cache_marks`: how many are
    in it that are ours (see messages/cache_marks.py). `forms`: the functions that stand for the client's own tools;
    `search`: for deferred tools, where the proxy searches; `pauses`: the upstream may pause the turn, and the client
    cannot know how to go on (see provider_tools.py, continued_turn.py). `reshaped` has the schemas that had to change
    so that what the model writes does, by the tool's (namespace, name) as the client has them; ("", "") is the reply's
    text. `functions`: the Chat client speaks of functions, the older word for tools; `free_text`: it has offered
    tools that take free text, for whose calls the SDK's streams have no type. `recurs`: parts of the body were written
    before (see recurring.py)."""

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
    recurs: bool = False

    def json(self) -> bytes:
        return recurring.dumps(self.body) if self.recurs else wire.dumps(self.body)
