"""Writes a conversation's tools and reply format in the dialect of JSON Schema that its upstream takes.

Every crossing comes through here once. Where a change of a schema changes the model's arguments, the calls in the
history are changed in the same way, and the change is noted for the reply. Coding agents send the same hundred
kilobytes of schemas with each request, so what became of a schema is remembered for as long as others do not need the
room.
"""

from __future__ import annotations

import marshal

from msgspec import Struct, field, structs
from msgspec.structs import replace

from translate.conversation import Conversation, OutputFormat, Part, Tool, ToolCall, Turn
from translate.json import wire
from translate.schemas import names, table
from translate.schemas.fitting import Fitted, fitted
from translate.schemas.places import Schema, noted
from translate.schemas.restored import ANSWER
from translate.schemas.root import WRAPPED
from translate.schemas.table import SchemaDialect, Writes
from translate.target import Reshaped, Target

Key = tuple[str, str]
"""(namespace, name) of a tool, as the client has them."""

ANY_OBJECT: Schema = {"type": "object"}  # a format without a schema asks for this

MAX_REMEMBERED = 2 << 20  # bytes of schemas, in all
MAX_EACH = MAX_REMEMBERED // 8


class Offer(Struct):
    """dropped: what was left out, in the client's words. reshaped: see target.Encoded."""

    conversation: Conversation
    dropped: list[str] = field(default_factory=list)
    reshaped: dict[Key, Reshaped] = field(default_factory=dict)


def offer(given: Conversation, home: bool, usual: Writes, target: Target) -> Offer:
    """Returns the conversation with schemas that its upstream takes. `given` is not changed. home: between two of one
    protocol schemas stay, unless the upstream's settings name what it takes. usual: what upstreams of the protocol are
    given schemas in."""
    if home and target.policy.tool_schema not in (table.GEMINI.name, table.GRAMMAR.name):
        return Offer(given)
    if not given.tools and given.output is None:
        return Offer(given)
    return _Offering(given, home, table.plain(usual, target)).offer


def cannot_say(output: OutputFormat | None, usual: Writes, model: str) -> bool:
    """Tells whether the upstream cannot express the schema in its reply formats, which are always enforced, or the
    model has no such formats."""
    if not usual.formats_enforced or output is None or output.kind != "json_schema":
        return False
    if usual.never is not None and usual.never.search(model):
        return True
    return bool(_known(output.schema or ANY_OBJECT, table.enforced(usual.plain), of_tool=False).obstacle)


def cannot_stand(conversation: Conversation, usual: Writes, model: str) -> bool:
    """Tells whether the model takes the reply's schema only where no tool is offered, and some are."""
    names = usual.not_beside_tools
    return (
        names is not None and conversation.output is not None and names.search(model) is not None
        and any(tool.kind == "function" and not tool.deferred for tool in conversation.tools)
    )  # fmt: skip


class _Offering:
    def __init__(self, given: Conversation, home: bool, plain: SchemaDialect) -> None:
        self._plain = plain
        self._strict = table.enforced(plain)
        self._home = home
        self._cut: dict[str, None] = {}
        self._strict_tools = self._optional = self._unions = 0  # in all strict schemas
        self._of_tools, self._of_output = given.words.tool_schema, given.words.output
        self.offer = Offer(given)
        output = given.output
        if output is not None and output.kind == "json_schema" and not (self._home and output.schema is None):
            output = self._output(output, output.schema or ANY_OBJECT)
        tools = [self._tool(tool) if tool.kind == "function" else tool for tool in given.tools]
        self.offer.dropped = list(self._cut)
        if output is not given.output or any(a is not b for a, b in zip(tools, given.tools, strict=True)):
            turns = [self._turn(turn) for turn in given.turns] if self.offer.reshaped else given.turns
            self.offer.conversation = replace(given, tools=tools, output=output, turns=turns)

    def __repr__(self) -> str:
        return f"<_Offering in {self._plain.name}, cut {list(self._cut)}>"

    def _tell(self, word: str, found: set[str]) -> None:
        self._cut |= {f"{word}.{keyword}": None for keyword in sorted(found)}

    # ----------------------------------------------------------------------------------------------- tools

    def _tool(self, tool: Tool) -> Tool:
        schema, strict = tool.schema, tool.strict
        if schema is None:
            if self._home or not strict:
                return tool
            schema = {}
        if strict and self._strict is not self._plain:
            found = _of_tool(tool, schema, self._strict)
            if found.obstacle or not self._have_room(found):
                strict = None
                self._cut["tools.strict"] = None
        if not strict or self._strict is self._plain:
            found = _of_tool(tool, schema, self._plain)
            if found.same and strict is tool.strict:
                return tool
        self._tell(self._of_tools, found.cut)
        self._reshape((tool.namespace, tool.name), found)
        if found.same and strict is tool.strict:
            return tool
        about = noted({"description": tool.description}, found.about)["description"]
        return replace(tool, schema=schema if found.same else found.schema, strict=strict, description=about)

    def _have_room(self, found: Fitted) -> bool:
        """Tells whether one more strict schema has room. Anthropic compiles a request's strict schemas together, and
        counts them."""
        if self._plain is not table.ANTHROPIC:
            return True
        total = self._strict_tools + 1, self._optional + found.optional, self._unions + found.unions
        if any(n > most for n, most in zip(total, _MOST, strict=True)):
            return False
        self._strict_tools, self._optional, self._unions = total
        return True

    def _reshape(self, key: Key, found: Fitted) -> None:
        if found.renamed or found.wrapped:
            self.offer.reshaped[key] = Reshaped(found.renamed, found.wrapped)

    # ---------------------------------------------------------------------------------------------- output

    def _output(self, output: OutputFormat, schema: Schema) -> OutputFormat:
        strict = output.strict
        if self._plain is table.ANTHROPIC:
            found = _known(schema, table.ANTHROPIC_STRICT, of_tool=False)
            self._have_room(found)
        else:
            found, strict = self._loosely(schema, strict)
            if output.strict and not strict:
                self._cut[f"{self._of_output}.strict"] = None
        self._tell(self._of_output, found.cut)
        self._reshape(ANSWER, found)
        fit = schema if found.same else noted(found.schema, found.about)
        return output if fit is schema and strict is output.strict else replace(output, schema=fit, strict=strict)

    def _loosely(self, schema: Schema, strict: bool | None) -> tuple[Fitted, bool | None]:
        """Returns the schema of a format that may be enforced or not. One whose author says nothing of it is enforced
        if it loses nothing, as Anthropic's always are."""
        found = _known(schema, self._plain, of_tool=False)
        if self._home or strict is False:
            return found, strict
        if self._plain is table.GEMINI:
            return found, bool(strict)
        tight = _known(schema, self._strict if self._strict is not self._plain else table.OPENAI_STRICT, of_tool=False)
        may = not tight.obstacle and (bool(strict) or not tight.cut)
        return tight if may and self._strict is not self._plain else found, may

    # --------------------------------------------------------------------------------------------- history

    def _turn(self, turn: Turn) -> Turn:
        parts = [self._part(part) for part in turn.parts]
        return replace(turn, parts=parts) if any(a is not b for a, b in zip(parts, turn.parts, strict=True)) else turn

    def _part(self, part: Part) -> Part:
        if not isinstance(part, ToolCall) or part.custom:
            return part
        shape = self.offer.reshaped.get((part.namespace, part.name))
        if shape is None or not part.arguments.strip():
            return part
        try:
            value = wire.loads(part.arguments)
        except ValueError:  # cut off: it goes as it is
            return part
        value = names.in_value(value, {given: sent for sent, given in shape.names.items()})
        return replace(part, arguments=wire.dumps_text({WRAPPED: value} if shape.wrapped else value))


_MOST = (table.MOST_STRICT_TOOLS, table.MOST_OPTIONAL, table.MOST_UNIONS)


# ------------------------------------------------------------------------------------------------------- memory


_Remembered = tuple[bytes, str, bool]
"""A schema's bytes, the dialect's name, and whether it is a tool's."""


class _Memory:
    """What became of schemas; the one that was asked for longest ago goes first."""

    def __init__(self) -> None:
        self.known: dict[_Remembered, Fitted] = {}
        self.size = 0

    def __repr__(self) -> str:
        return f"<_Memory of {len(self.known)} schemas, {self.size} bytes>"

    def put(self, key: _Remembered, found: Fitted) -> None:
        if len(key[0]) > MAX_EACH:
            return
        self.known[key] = structs.replace(found, schema={}) if found.same else found
        self.size += len(key[0])
        while self.size > MAX_REMEMBERED:
            eldest = next(iter(self.known))
            del self.known[eldest]
            self.size -= len(eldest[0])


_MEMORY = _Memory()


def _of_tool(tool: Tool, schema: Schema, dialect: SchemaDialect) -> Fitted:
    if tool.known is None:
        return _known(schema, dialect, of_tool=True)
    found: Fitted | None = tool.known.get((_of_tool, dialect.name))
    if found is None:
        found = tool.known[_of_tool, dialect.name] = _known(schema, dialect, of_tool=True)
    return found


def _known(schema: Schema, dialect: SchemaDialect, *, of_tool: bool) -> Fitted:
    """Returns what `fitted` does, from memory if the schema has come before; one that may stay as it is, is then left
    out of the result. marshal tells 1 from 1.0 and true, takes every value that a parser gives, and needs a fifth of
    JSON's time."""
    key = marshal.dumps(schema), dialect.name, of_tool
    known = _MEMORY.known
    if (found := known.pop(key, None)) is not None:
        known[key] = found
        return found
    found = fitted(schema, dialect, of_tool)
    _MEMORY.put(key, found)
    return found
