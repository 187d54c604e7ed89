"""A provider's own tools before another provider: each tool is offered as functions, and its calls come back in their
own form.

In the request, the tools that the client runs (messages/client_tools.py, responses/client_tools.py) become functions
with the arguments that are published for them. The searches for deferred tools (tool_search.py) become functions that
the proxy answers itself. Their calls and results in the history become those of functions. In the reply, `NativeCalls`
turns the model's calls into the items and blocks of the client's protocol. Nothing of this runs for a request without
such a tool: one look at its tools and at the parts of its history shows that.
"""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from translate.conversation import (
    Close,
    Conversation,
    Delta,
    Event,
    Fault,
    Open,
    Part,
    Stop,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Unknown,
)
from translate.json import wire
from translate.messages import client_tools as anthropics
from translate.responses import client_tools as openais
from translate.target import Form, ToolSearch
from translate.tools import deferred_calls, tool_search


class CrossedTools(Struct):
    """forms, search: as in target.Encoded."""

    conversation: Conversation
    forms: dict[str, Form] = field(default_factory=dict)
    search: ToolSearch | None = None


def crossed(conversation: Conversation, says_search: bool, searched_from: int) -> CrossedTools:
    """Returns the conversation as another provider takes it. says_search: a search that the client runs itself says
    that it is one; else any function may be. searched_from: so many deferred tools are searched for; fewer are simply
    offered."""
    if any(tool.kind == "server" or tool.deferred for tool in conversation.tools) or _has_calls(conversation):
        return _Crossing(conversation, says_search, searched_from).done()
    return CrossedTools(conversation)


def _has_calls(conversation: Conversation) -> bool:
    return any(map(_is_ours, conversation.turns))


def _is_ours(turn: Turn) -> bool:
    """Tells whether the call or the result of such a tool is in the turn."""
    if turn.role == "system":
        return any(map(tool_search.is_result, turn.parts))
    for part in turn.parts:  # noqa: SIM110  # any() takes twice as long, and every turn is asked
        if _is_of_ours(part):
            return True
    return False


def _is_of_ours(part: Part) -> bool:
    if isinstance(part, Unknown):
        is_openais = part.kind in openais.CALLS or part.kind in openais.RESULTS
        return is_openais or tool_search.is_call(part) or tool_search.is_result(part)
    return isinstance(part, ToolCall) and bool(part.toolset)


class _Crossing:
    """One request."""

    def __init__(self, conversation: Conversation, says_search: bool, searched_from: int) -> None:
        self._conversation = conversation
        self._says_search = says_search
        self._from = searched_from
        self._own = frozenset(tool.name for tool in conversation.tools if tool.kind != "server")
        self._taken = set(self._own)
        self._names: dict[tuple[str, str], str] = {}  # (kind or toolset, member) -> the function's name
        self._forms: dict[str, Form] = {}
        self._searches: dict[str, str] = {}
        self._ids: dict[str, str] = {}  # of a call's item -> of the call
        self._pending: list[str] = []  # ids of searches whose result is still to come
        self._made = 0  # ids that calls without one were given

    def done(self) -> CrossedTools:
        given = self._conversation
        for tool in given.tools:
            if kind := tool_search.kind_of(tool):
                self._searches[self._name(kind, tool.name)] = kind
        deferred = [tool for tool in given.tools if _was_deferred(tool)]
        tools = self._shown(self._tools(deferred))
        turns = [new for turn in given.turns for new in self._turn(turn)]
        choice = self._choice(turns)
        conversation = replace(given, tools=tools, turns=turns, tool_choice=choice)
        if not self._searches:
            return CrossedTools(conversation, self._forms)
        search = ToolSearch(self._searches, tuple(deferred), _abouts(deferred), frozenset(self._found_before()))
        if self._says_search:
            conversation.turns = deferred_calls.plain(turns, search)
        return CrossedTools(conversation, self._forms, search)

    # ---------------------------------------------------------------------------------------------- tools

    def _tools(self, deferred: list[Tool]) -> list[Tool]:
        """Returns each tool as what stands for it. A search with few tools to search is left out; with none at all it
        stays what it is, so that it is reported."""
        searches = bool(self._searches and deferred) and len(deferred) >= self._from
        out: list[Tool] = []
        for tool in self._conversation.tools:
            if deferred and (kind := tool_search.kind_of(tool)):
                name = self._names[kind, tool.name]
                out += [tool_search.function(name, kind, deferred)] if searches else []
            elif members := anthropics.functions(tool):
                out += [self._member(function, toolset) for function, toolset in members]
            elif (function := openais.function(tool)) is not None:
                kind = str(tool.raw["type"])
                name = self._name(kind, function.name)
                self._forms[name] = kind, ""
                out.append(replace(function, name=name))
            else:
                out.append(tool)
        return out if searches else self._unhidden(out)

    def _member(self, function: Tool, toolset: str) -> Tool:
        if not toolset:
            return function
        name = self._name(toolset, function.name, f"{toolset}_{function.name}")
        self._forms[name] = toolset, function.name
        return replace(function, name=name)

    def _unhidden(self, tools: list[Tool]) -> list[Tool]:
        """Returns the tools where no search of the proxy's shows the deferred ones. One that the client runs shows
        them; without any, all are offered now."""
        if self._says_search:
            runs = any(kind == "tool_search" for kind, _ in self._forms.values())
        else:
            runs = any(tool.kind == "function" and not tool.deferred for tool in tools)
        if runs and not self._searches:
            return tools
        return [replace(tool, deferred=False) if tool.deferred else tool for tool in tools]

    def _shown(self, tools: list[Tool]) -> list[Tool]:
        """Returns the tools. Deferred ones are offered if a search has found them, or if the client wants them to be
        called."""
        found = self._found_before()
        choice = self._conversation.tool_choice
        if choice is not None and choice.mode == "tool":
            found.add((choice.namespace, choice.name))
        return [
            replace(tool, deferred=False) if tool.deferred and (tool.namespace, tool.name) in found else tool
            for tool in tools
        ]

    def _found_before(self) -> set[tuple[str, str]]:
        """Returns (namespace, name) of the tools that searches of the history show."""
        found: set[tuple[str, str]] = set()
        for turn in self._conversation.turns:
            for part in turn.parts:
                if isinstance(part, Unknown) and tool_search.is_result(part):
                    found |= tool_search.names_in(part.raw)
        return found

    def _name(self, kind: str, name: str, wanted: str = "") -> str:
        """Returns the function's name: the tool's own, where no other tool has it."""
        key = kind, name
        if key not in self._names:
            sent, n = wanted or name, 1
            while sent in self._taken:
                n += 1
                sent = f"{wanted or name}_{n}"
            self._taken.add(sent)
            self._names[key] = sent
        return self._names[key]

    def _choice(self, turns: list[Turn]) -> ToolChoice | None:
        """A search that was asked for by name has been made once its result is there."""
        choice = self._conversation.tool_choice
        if choice is None or choice.mode != "tool" or choice.name in self._own:
            return choice
        sent = next((sent for (kind, name), sent in self._names.items() if choice.name in (kind, name)), choice.name)
        made = bool(turns) and any(isinstance(part, ToolResult) for part in turns[-1].parts)
        if sent in self._searches and made:
            return ToolChoice("auto")
        return replace(choice, name=sent)

    # -------------------------------------------------------------------------------------------- history

    def _turn(self, turn: Turn) -> list[Turn]:
        """A turn with a search in it is several: the call, its result, and what the model said then."""
        if not _is_ours(turn):
            return [turn]
        if turn.role == "system":
            return self._instruction(turn)
        out = [replace(turn, parts=[])]
        for part in turn.parts:
            if tool_search.is_result(part) and isinstance(part, Unknown) and turn.role == "assistant":
                out += [Turn("user", [self._found(part.raw)]), Turn("assistant", [])]
            else:
                out[-1].parts.append(self._part(part))
        return [each for each in _joined(out) if each.parts]

    def _instruction(self, turn: Turn) -> list[Turn]:
        """A search's output, where it answers a call, is the result of that."""
        raw = next(part.raw for part in turn.parts if isinstance(part, Unknown) and tool_search.is_result(part))
        if raw.get("call_id") or self._pending:
            return [Turn("user", [self._found(raw)])]
        return [turn]

    def _found(self, raw: dict[str, object]) -> ToolResult:
        id = str(raw.get("tool_use_id") or raw.get("call_id") or "")
        if not id and self._pending:
            id = self._pending[0]
        if id in self._pending:
            self._pending.remove(id)
        return tool_search.result(raw, id)

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            if not part.toolset:
                return part
            name = self._name(part.toolset, part.name, f"{part.toolset}_{part.name}")
            self._forms.setdefault(name, (part.toolset, part.name))
            return replace(part, name=name, toolset="")
        if not isinstance(part, Unknown):
            return part
        if tool_search.is_call(part):
            return self._search(part)
        if part.kind in openais.CALLS:
            id = str(part.raw.get("call_id") or part.raw.get("id") or self._new_id())
            self._ids[str(part.raw.get("id"))] = id
            if part.kind == "tool_search_call":
                self._pending.append(id)
            return openais.call(part.raw, id, self._of_item(part.kind))
        if part.kind in openais.RESULTS:
            given = str(part.raw.get("call_id") or part.raw.get("id") or "")
            return openais.result(part.raw, self._ids.get(given, given), f"input.{part.kind}.output")
        return part

    def _search(self, part: Unknown) -> Part:
        id = str(part.raw.get("call_id") or part.raw.get("id") or self._new_id())
        self._pending.append(id)
        if part.kind == "server_tool_use":
            given, name = part.raw.get("input"), str(part.raw.get("name"))
            kind = "regex" if "regex" in name else "bm25"
        else:
            given, name, kind = part.raw.get("arguments"), "tool_search", "hosted"
        arguments = given if isinstance(given, str) else wire.dumps_text(given or {})
        return ToolCall(id, self._name(kind, name), arguments)

    def _of_item(self, item: str) -> str:
        """Returns the name of the function that such an item's call is of."""
        tool = openais.CALLS[item]
        for (kind, _), name in self._names.items():
            if kind == tool or (tool == "computer" and kind == "computer_use_preview"):
                return name
        name = self._name(tool, tool)
        self._forms.setdefault(name, (tool, ""))
        return name

    def _new_id(self) -> str:
        self._made += 1
        return f"call_{self._made}"


def _was_deferred(tool: Tool) -> bool:
    """Tells whether the client declared it deferred, whatever has been shown since."""
    return tool.kind != "server" and (tool.deferred or tool.declared_deferred)


def _abouts(tools: list[Tool]) -> dict[str, str]:
    return {tool.namespace: about for tool in tools if (about := tool.about_namespace)}


def _joined(turns: list[Turn]) -> list[Turn]:
    """Joins neighbouring turns of one role: results that follow one another, without a word of the model's between
    them, answer calls of one turn."""
    out: list[Turn] = []
    for turn in turns:
        if not turn.parts:
            continue
        if out and out[-1].role == turn.role:
            out[-1].parts += turn.parts
        else:
            out.append(turn)
    return out


# --------------------------------------------------------------------------------------------------------- replies


class NativeCalls:
    """Takes the events of a reply and gives them with the client's own items in them. A call that becomes an item is
    kept back until it is whole. A call that makes no item stays the call of a function, and the client tells the
    model so."""

    __slots__ = ("_forms", "_pending", "_key", "_n", "_pieces")

    def __init__(self, forms: dict[str, Form], key: str) -> None:
        self._forms = forms
        self._key = key
        self._n = 0
        self._pending: ToolCall | None = None
        self._pieces: list[bytes] = []

    def __repr__(self) -> str:
        return f"<NativeCalls holding {self._pending.name if self._pending else 'nothing'}>"

    def passed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if self._pending is not None:
                self._while_pending(self._pending, event, out)
            elif isinstance(event, Open) and isinstance(event.part, ToolCall) and event.part.name in self._forms:
                self._open(event.part, out)
            else:
                out.append(event)
        return out

    def _open(self, call: ToolCall, out: list[Event]) -> None:
        kind, member = self._forms[call.name]
        if member:
            out.append(Open(replace(call, name=member, toolset=kind)))
        else:
            self._pending, self._pieces = call, []

    def _while_pending(self, call: ToolCall, event: Event, out: list[Event]) -> None:
        if isinstance(event, Delta):
            self._pieces += event.pieces
            return
        if isinstance(event, Close | Stop):
            self._whole(call, out)
        if isinstance(event, Fault):  # nobody may run half a call
            self._pending = None
        if not isinstance(event, Close):
            out.append(event)

    def _whole(self, call: ToolCall, out: list[Event]) -> None:
        self._pending = None
        kind, _ = self._forms[call.name]
        text = wire.text_of(self._pieces)
        item = openais.item(kind, call.id, text, self._key, self._n)
        self._n += 1
        if item is not None:
            out += [Open(item), Close()]
            return
        out.append(Open(call))
        out += [Delta(self._pieces)] if self._pieces else []
        out.append(Close())
