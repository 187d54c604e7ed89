"""JSON schemas of replies, for upstreams that ignore them but follow the schemas of tools.

In the request the schema becomes one more function tool. The model must call a tool: this one, or another if the client
has some. (llama.cpp's Chat follows the schema, but forgets all tools because of it; there, this is for requests with
tools.) In the reply, `AnswerAsText` turns the call's arguments, as they come, into the text of a reply that has simply
ended. What the model says before it calls the tool would spoil that JSON: it is kept back, and given out only if the
tool is not called after all.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from translate.conversation import (
    Close,
    Conversation,
    Delta,
    Event,
    Fault,
    Open,
    Part,
    Refusal,
    Stop,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)

NAME = "final_answer"

_ABOUT = "Give the final answer by calling this, and only so: all of it goes into the arguments."


def offered(conversation: Conversation, alone: bool = True, any_root: bool = False) -> tuple[Conversation, str]:
    """Returns the conversation with its schema as a tool, and the tool's name. Returns the conversation unchanged, and
    "", if there is no schema, or a tool cannot have it. The schema is left out if the client wants a call of its own
    tools and no answer. alone: offer it also if the client has no tools that may be called. any_root: a schema that is
    not an object will be wrapped into one (see schemas/root.py)."""
    output, choice = conversation.output, conversation.tool_choice
    if output is None or output.kind != "json_schema" or not (any_root or _is_object(output.schema)):
        return conversation, ""
    mode = choice.mode if choice is not None and conversation.tools else "auto"
    if not alone and (mode == "none" or not conversation.tools):
        return conversation, ""
    if mode in ("any", "tool"):
        return replace(conversation, output=None), ""
    name = _free_name({tool.name for tool in conversation.tools})
    about = "\n\n".join(text for text in (_ABOUT, output.description) if text)
    tool = Tool(name, about, output.schema or {"type": "object"})
    must = ToolChoice("tool", name) if mode == "none" else ToolChoice("any")
    return replace(conversation, output=None, tools=[*conversation.tools, tool], tool_choice=must), name


def _is_object(schema: dict[str, Any] | None) -> bool:
    """Arguments are an object. A schema of anything else stays where it is."""
    return schema is not None and (schema.get("type") == "object" or "properties" in schema)


def _free_name(taken: set[str]) -> str:
    name, n = NAME, 1
    while name in taken:
        n += 1
        name = f"{NAME}_{n}"
    return name


class AnswerAsText:
    """Takes the events of a reply and gives them with the answer as text. Its state is how it treats the open part."""

    __slots__ = ("_answered", "_called", "_pending", "_name", "_now", "_said")

    def __init__(self, name: str) -> None:
        self._name = name
        self._now = "passing"  # passing | holding | skipping | answering
        self._said = False  # the answer's part has text
        self._answered = False
        self._called = False  # the model has called another tool
        self._pending: list[Event] = []

    def __repr__(self) -> str:
        return f"<AnswerAsText {self._now}, answered {self._answered}, {len(self._pending)} held>"

    def passed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if isinstance(event, Open):
                self._open(event, out)
            elif isinstance(event, Delta | Close):
                self._inside(event, out)
            else:
                self._beside(event, out)
        return out

    def _open(self, event: Open, out: list[Event]) -> None:
        self._now = self._way_of(event.part)
        if self._now == "answering":
            self._answered = True
            self._said = False
            self._pending = []
            out.append(Open(Text("")))
        elif self._now == "holding":
            self._pending.append(event)
        elif self._now == "passing":
            if isinstance(event.part, ToolCall | Refusal):  # what was said before leads to this
                self._called = self._called or isinstance(event.part, ToolCall)
                self._release(out)
            out.append(event)

    def _way_of(self, part: Part) -> str:
        if isinstance(part, ToolCall) and part.name == self._name:
            return "skipping" if self._answered else "answering"
        if isinstance(part, Text):
            return "skipping" if self._answered else "holding"
        return "passing"

    def _inside(self, event: Delta | Close, out: list[Event]) -> None:
        if self._now == "passing":
            out.append(event)
        elif self._now == "holding":
            self._pending.append(event)
        elif self._now == "answering":
            self._said = self._said or isinstance(event, Delta)
            if isinstance(event, Close):
                self._end_answer(out)
            out.append(event)

    def _end_answer(self, out: list[Event]) -> None:
        if not self._said:
            out.append(Delta([b"{}"]))

    def _beside(self, event: Event, out: list[Event]) -> None:
        if isinstance(event, Stop):
            self._release(out)
            if self._answered and not self._called and event.reason == "tool_calls":
                event = replace(event, reason="end")
        elif isinstance(event, Fault):  # half a text is left out
            self._pending = []
        out.append(event)

    def _release(self, out: list[Event]) -> None:
        out += self._pending
        self._pending = []
