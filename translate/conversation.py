"""The neutral form: what a request and a reply are, in no vendor's words.

It is a superset of the protocols. If client and upstream speak the same protocol, nothing comes here, because they get
each other's bytes; a crossing decodes into this form and encodes out of it. A request is a `Conversation`. A reply is a
sequence of `Event`s, whether it was streamed or not: a whole body is exploded into the same events, and a body is
collected from events, so that both ways give the same. Nothing here knows a wire format. If one protocol says something
for which the neutral form has no word, it is kept in `ext` under the protocol's name. So A -> neutral -> A is the
identity, and A -> neutral -> B can name what it leaves out.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from msgspec import Struct, field

from translate.fields.words import NOBODY, Words

Ext = dict[str, dict[str, Any]]
"""What has no word here, in groups, under the names that the client gave: {"chat": {"logit_bias": {...}}}. The group of
a protocol is read by its own encoder alone, and so is "PROTOCOL.form", which tells how a thing was written. Three
groups are shared: "cache" has the marks up to which a prompt is to be cached (`cache_control` of Messages and of
OpenRouter's Chat, `prompt_cache_breakpoint` of OpenAI), "openai" the fields that OpenAI's two protocols spell alike,
and "proof" what Google has signed of a call or a message, as its OpenAI form says it (`extra_content`)."""

Role = Literal["system", "user", "assistant"]

Known = dict[Any, Any] | None
"""What was made of a turn or a tool, where it comes again with other requests (see recurring.py); None = it does not.
A copy that is changed knows nothing."""


class _Partly(Struct, eq=False):
    """Is equal to another one where the fields are that say what a model reads or has said: all but those of
    `uncompared`, which tell about it."""

    uncompared: ClassVar[frozenset[str]]

    def __eq__(self, other: object) -> bool:
        names = (name for name in self.__struct_fields__ if name not in self.uncompared)
        return type(self) is type(other) and all(getattr(self, name) == getattr(other, name) for name in names)

    def __ne__(self, other: object) -> bool:
        return not self == other  # Struct's own compares identity


# ---------------------------------------------------------------------------------------------- parts


class Citation(Struct):
    """A source that a text names. url, title: of a page; url is "" for a source without an address (a passage of a
    document, a file). start, end: the part of the text that rests on the source, in characters; None = all of the text.
    protocol, raw: the citation as one protocol has it, for that protocol's own encoder."""

    protocol: str
    raw: Any
    url: str = ""
    title: str = ""
    start: int | None = None
    end: int | None = None


class Text(_Partly):
    """A piece of text. citations: of a text in the history; those of a reply come with its Close. author: who speaks,
    if several speak in one role. It is set for an instruction at the head; elsewhere the Turn has it. apart: it is a
    message of its own in a reply, and no piece of the text before."""

    text: str
    ext: Ext = field(default_factory=dict)
    citations: list[Citation] = field(default_factory=list)
    author: str = ""
    apart: bool = False

    uncompared: ClassVar = frozenset({"apart"})


class Image(Struct):
    """A picture. Exactly one of data (base64), url or file_id is set; media_type belongs to data."""

    data: str = ""
    media_type: str = ""
    url: str = ""
    file_id: str = ""
    detail: str = ""
    ext: Ext = field(default_factory=dict)


class Document(Struct):
    """A file. One of data (base64 + media_type), url, file_id, text (plain) or parts (content blocks) is set."""

    data: str = ""
    media_type: str = ""
    url: str = ""
    file_id: str = ""
    text: str = ""
    parts: list[Part] = field(default_factory=list)
    title: str = ""
    context: str = ""
    ext: Ext = field(default_factory=dict)


class Audio(Struct):
    """Sound. data is base64; format is a short name such as "wav" or "mp3". transcript: the spoken words, which the
    text of the reply has, too."""

    data: str
    format: str
    ext: Ext = field(default_factory=dict)
    transcript: str = ""


class Thinking(Struct):
    """Reasoning. `signature` proves `text` to the provider that wrote both; `encrypted` is reasoning that only its
    provider can read (then text is empty). Neither is ever made up here. Those of a Responses provider are sealed (see
    sealed_reasoning.py), so that nobody takes them for another provider's. provider: whose proof it is, in the words of
    a server that stands before several providers ("anthropic-claude-v1"); "" = not said."""

    text: str = ""
    signature: str = ""
    encrypted: str = ""
    ext: Ext = field(default_factory=dict)
    provider: str = ""


class ToolCall(Struct):
    """A call. `arguments` is the JSON text as the model wrote it: it may be cut off, and "" means {}. For a custom tool
    it is the free text itself. `namespace` is that of the tool. `toolset`: the provider's own set of tools that has
    `name` as a member. runs_on: the model goes on before the result is there."""

    id: str
    name: str
    arguments: str = ""
    ext: Ext = field(default_factory=dict)
    custom: bool = False
    namespace: str = ""
    toolset: str = ""
    runs_on: bool = False


class ToolResult(Struct):
    id: str
    parts: list[Part] = field(default_factory=list)
    is_error: bool = False
    ext: Ext = field(default_factory=dict)


class Refusal(Struct):
    text: str = ""
    ext: Ext = field(default_factory=dict)


class Unknown(Struct):
    """A part for which the neutral form has no word, as it stands in `protocol`'s JSON. parts: what other protocols get
    instead, if the part has content that they know; for a part of a reply, this is what it shows."""

    protocol: str
    raw: dict[str, Any]
    ext: Ext = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return str(self.raw.get("type"))


Part = Text | Image | Document | Audio | Thinking | ToolCall | ToolResult | Refusal | Unknown


# -------------------------------------------------------------------------------------------- request


class Turn(_Partly):
    """One message. Role "system" is an instruction in mid-conversation; the instructions at the head are in
    Conversation.system. Tool results are parts of a user turn. author: who speaks, if several speak in one role.
    for_one_turn: an instruction that the model saw together with the user's turn before it, and never again."""

    role: Role
    parts: list[Part]
    ext: Ext = field(default_factory=dict)
    author: str = ""
    for_one_turn: bool = False
    known: Known = None

    uncompared: ClassVar = frozenset({"known"})

    def __post_init__(self) -> None:
        self.known = None


Purpose = Literal["", "web_search", "search_bm25", "search_regex", "search_hosted"]
"""The purpose of a tool that the provider runs, if others can do the same: it searches the web, or the deferred tools
by words, by a regular expression, or in its provider's way."""


class Tool(_Partly):
    """A tool. Names are unique within a namespace.

    kind "function": the client runs it; name, description and schema say everything. kind "custom": the client runs it,
    and it takes free text; `raw` is its format, {} or {"type": "grammar", "syntax": ..., "definition": ...}. kind
    "server": the provider runs it; `raw` is its declaration in `protocol`'s JSON, and no other protocol may know it.

    about_namespace: the description of the namespace; its first tool has it. deferred: the model is not offered the
    tool before something has shown it. declared_deferred: the client declared it so, whatever was shown since. purpose:
    of a tool that the provider runs.
    """

    name: str
    description: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    kind: Literal["function", "custom", "server"] = "function"
    protocol: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    deferred: bool = False
    ext: Ext = field(default_factory=dict)
    namespace: str = ""
    about_namespace: str = ""
    purpose: Purpose = ""
    declared_deferred: bool = False
    known: Known = None

    uncompared: ClassVar = frozenset({"purpose", "declared_deferred", "known"})

    def __post_init__(self) -> None:
        self.known = None


class ToolChoice(Struct):
    """Which tools must be called. mode "any": some tool; "tool": the named one."""

    mode: Literal["auto", "any", "none", "tool"]
    name: str = ""
    namespace: str = ""


class OutputFormat(Struct):
    """bare: the schema is of a string, which the client reads as it is, not as JSON in quotes."""

    kind: Literal["json_object", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None
    bare: bool = False


class Reasoning(Struct):
    """How much the model is to think. enabled False = not at all; None = nothing said.

    `effort` is one of none minimal low medium high xhigh max; `budget` is in tokens; `adaptive` leaves the amount to
    the model; `display` says how much of it the client wants to see (summarized, omitted, ...).
    """

    enabled: bool | None = None
    effort: str = ""
    budget: int = 0
    adaptive: bool = False
    display: str = ""


class Sampling(Struct):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: int | None = None  # how likely each token was is to be told, and so many others in its place


class Conversation(_Partly):
    """A request.

    `ext[protocol]` holds the top-level fields for which there is no word here; an encoder of another protocol reports
    each of them as dropped. For the protocol of the client, it is always there, even if empty. service_tier: one of
    OpenAI's tiers. verbosity: how much the model is to write: low, medium, high. words: the client's own. one_call: the
    client takes only one call in a message, however many are allowed. free_text: the client knows calls of tools that
    take free text. pictures: it asks for pictures in the reply.
    """

    model: str
    turns: list[Turn]
    system: list[Part] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    output: OutputFormat | None = None
    reasoning: Reasoning = field(default_factory=Reasoning)
    user: str = ""
    cache_key: str = ""
    service_tier: str = ""
    verbosity: str = ""
    stream: bool = False
    ext: Ext = field(default_factory=dict)
    words: Words = NOBODY
    one_call: bool = False
    free_text: bool = True
    pictures: bool = False

    uncompared: ClassVar = frozenset({"words", "one_call", "free_text", "pictures"})


# ---------------------------------------------------------------------------------------------- reply


class Usage(_Partly):
    """Tokens, in counters that do not overlap.

    input: neither read from nor written to a cache. Anthropic's input_tokens is this number; OpenAI's prompt_tokens is
    input + cache_read + cache_write. reasoning is a part of output. total: the sum as the upstream says it, which may
    count more than the single counters; 0 = it says none. aside: what a compaction took before the answer, which is in
    none of the others. terms: what the price depends on besides, in the upstream's words: a service tier (flex,
    priority, batch), Claude's fast mode, the region us.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    ext: Ext = field(default_factory=dict)
    total: int = 0
    aside: Usage | None = None
    terms: tuple[str, ...] = ()

    uncompared: ClassVar = frozenset({"total", "aside", "terms"})

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write


StopReason = Literal[
    "end", "length", "stop_sequence", "tool_calls", "refusal", "pause", "context_overflow", "compaction"
]


class Start(Struct):
    """The reply has begun. usage is what is known of the input already, or None."""

    id: str = ""
    model: str = ""
    usage: Usage | None = None
    ext: Ext = field(default_factory=dict)


class Open(Struct):
    """A part begins. At most one is open at a time: decoders put interleaved ones in sequence.

    `part` carries what is known at the start (a tool call's id and name, encrypted reasoning, an unknown
    part's raw JSON); its text (or arguments) comes by Delta and is empty here.
    """

    part: Part


class Delta(Struct):
    """More of the open part's text (for a ToolCall: of its arguments; for Thinking: of its text).

    Each piece is the inside of a JSON string, still escaped, as UTF-8: `wire.inside(text)`. Many pieces in
    one event are many deltas upstream that arrived together; an encoder writes one delta for each.
    """

    pieces: list[bytes]


class Close(Struct):
    """The open part is complete. signature: of a Thinking part. citations: of a Text. ext: what else came late."""

    signature: str = ""
    ext: Ext = field(default_factory=dict)
    citations: list[Citation] = field(default_factory=list)


class Stop(Struct):
    """The reply is complete; nearly always the last event. usage is final, None if the upstream never told it. sequence
    is the stop sequence that was met, if known. explanation: why the model declines, in words. service_tier: the one of
    OpenAI's tiers that was used. ext: what else the upstream says."""

    reason: StopReason
    usage: Usage | None = None
    sequence: str = ""
    ext: Ext = field(default_factory=dict)
    explanation: str = ""
    service_tier: str = ""


class Fault(Struct):
    """The reply failed; the last event. `error` is a translate.failures.errors.ApiError."""

    error: Exception


class Ping(Struct):
    """A sign of life without content."""


Event = Start | Open | Delta | Close | Stop | Fault | Ping
