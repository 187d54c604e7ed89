"""Custom tools and namespaces for upstreams that know nothing but functions.

In the request, a custom (free-form) tool becomes a function that takes one string, a tool in a namespace becomes a
function under a flat name, and the calls in the history change in the same way. In the reply, `BridgedReply` turns the
model's calls into what the client declared. It stands between the upstream's decoder and the client's encoder, so that
neither of them need know. The text of a custom call arrives as JSON and is kept back until its end; everything else
passes at once.
"""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec.structs import replace

from translate import repair
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
    Turn,
)
from translate.json import wire
from translate.target import Asked

INPUT = "input"  # the one property of a bridged custom tool

_HOW = f"The whole text goes into `{INPUT}`, as it is."

Key = tuple[str, str]
"""(namespace, name)"""


class Bridged:
    """A request with functions alone: `conversation`. custom, namespaces: as in target.Encoded."""

    __slots__ = ("_names", "_taken", "conversation", "custom", "namespaces")

    def __init__(self, conversation: Conversation) -> None:
        self._names: dict[Key, str] = {}
        self._taken = {tool.name for tool in conversation.tools if not _is_special(tool)}
        self.custom: frozenset[str] = frozenset()
        self.namespaces: dict[str, Key] = {}
        self.conversation = self._cross(conversation) if _needs(conversation) else conversation

    def __repr__(self) -> str:
        return f"<Bridged {self._names}>"

    def _cross(self, conversation: Conversation) -> Conversation:
        tools = [self._tool(tool) if _is_special(tool) else tool for tool in conversation.tools]
        choice = conversation.tool_choice
        if choice is not None and (sent := self._chosen(choice)):
            choice = replace(choice, name=sent, namespace="")
        turns = [self._turn(turn) for turn in conversation.turns]
        return replace(conversation, tools=tools, tool_choice=choice, turns=turns)

    def _chosen(self, choice: ToolChoice) -> str | None:
        """Returns the flat name of a forced tool. The protocol's choices have no field for a namespace, so that a name
        alone is that of the one tool that has it."""
        if sent := self._names.get((choice.namespace, choice.name)):
            return sent
        alike = [sent for (_, name), sent in self._names.items() if name == choice.name]
        return alike[0] if len(alike) == 1 and not choice.namespace and choice.name not in self._taken else None

    def _tool(self, tool: Tool) -> Tool:
        sent = self._name(tool.namespace, tool.name)
        if about := tool.about_namespace:
            tool = replace(tool, description=f"[{tool.namespace}: {about}]\n{tool.description}".rstrip())
        if tool.kind != "custom":
            return replace(tool, name=sent, namespace="")
        self.custom |= {sent}
        schema = {"type": "object", "properties": {INPUT: {"type": "string"}}, "required": [INPUT]}
        description = "\n\n".join(text for text in (tool.description, _HOW, _grammar(tool.raw)) if text)
        return Tool(sent, description, schema, deferred=tool.deferred, ext=tool.ext)

    def _turn(self, turn: Turn) -> Turn:
        if not any(isinstance(part, ToolCall) and (part.custom or part.namespace) for part in turn.parts):
            return turn
        return replace(turn, parts=[self._part(part) for part in turn.parts])

    def _part(self, part: Part) -> Part:
        if not isinstance(part, ToolCall) or not (part.custom or part.namespace):
            return part
        arguments = wire.dumps_text({INPUT: part.arguments}) if part.custom else part.arguments
        return ToolCall(part.id, self._name(part.namespace, part.name), arguments, part.ext)

    def _name(self, namespace: str, name: str) -> str:
        """Returns the flat name: the same one for a tool in each turn, and never that of another tool."""
        key = namespace, name
        if key not in self._names:
            sent = repair.flat_name(namespace, name)
            if sent in self._taken:
                sent = repair.tool_name(f"{sent}_{hashlib.sha256(repr(key).encode()).hexdigest()[:8]}")
            self._taken.add(sent)
            self._names[key] = sent
            if namespace or sent != name:
                self.namespaces[sent] = key
        return self._names[key]


def _is_special(tool: Tool) -> bool:
    return tool.kind == "custom" or bool(tool.namespace)


def _needs(conversation: Conversation) -> bool:
    for tool in conversation.tools:
        if _is_special(tool):
            return True
    for turn in conversation.turns:  # in loops: any() takes twice as long, and every request is asked
        for part in turn.parts:
            if isinstance(part, ToolCall) and (part.custom or part.namespace):
                return True
    return False


def _grammar(format: dict[str, Any]) -> str:
    if format.get("type") != "grammar":
        return ""
    return f"It must match this {format.get('syntax') or ''} grammar:\n{format.get('definition') or ''}"


class BridgedReply:
    """Takes the events of a reply and gives them with the client's own tools in them."""

    __slots__ = ("_asked", "_pending", "_pieces")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._pending: ToolCall | None = None  # the custom call whose input is still coming
        self._pieces: list[bytes] = []

    def __repr__(self) -> str:
        return f"<BridgedReply holding {self._pending.name if self._pending else 'nothing'}>"

    def passed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if self._pending is None:
                out += self._free(event)
            else:
                self._while_pending(event, out)
        return out

    def _free(self, event: Event) -> list[Event]:
        if not isinstance(event, Open) or not isinstance(part := event.part, ToolCall):
            return [event]
        namespace, name = self._asked.namespaces.get(part.name, ("", part.name))
        known = replace(part, name=name, namespace=namespace) if part.name in self._asked.namespaces else part
        if part.name not in self._asked.custom or part.custom:
            return [Open(known)]
        self._pending, self._pieces = replace(known, custom=True), []
        return []

    def _while_pending(self, event: Event, out: list[Event]) -> None:
        if isinstance(event, Delta):
            self._pieces += event.pieces
            return
        if isinstance(event, Close | Stop) and self._pending is not None:
            text = input_in(wire.text_of(self._pieces))
            out.append(Open(self._pending))
            if text:
                out.append(Delta([wire.inside(text)]))
            if isinstance(event, Stop):
                out.append(Close())
        if isinstance(event, Close | Stop | Fault):  # nobody may run half a text: a Fault leaves it out
            self._pending = None
        out.append(event)


def input_in(arguments: str) -> str:
    """Returns the free text in a bridged call's arguments. Arguments that are cut off give the beginning of the text,
    and anything else than such an object is given unchanged: the model's words are never dropped."""
    for text in (arguments, arguments + '"}', arguments.rstrip("\\") + '"}'):
        try:
            value = wire.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(said := value.get(INPUT, value.get(repair.WRAPPED)), str):
            return said
        return "" if value == {} else arguments
    return arguments
