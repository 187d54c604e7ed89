"""The answers of the demo upstream: a request in neutral form (`Ask`) becomes an `Answer`.

The functions are pure and deterministic: they use no clock, no randomness and no sockets; ids come from a digest of the
body. If a request has tools and no result yet, the demo calls one of them, with arguments that fit the tool's JSON
schema; after that it answers with a short text. A reader per protocol (messages.py, chat.py,
responses.py) makes the `Ask`, and the writer beside it puts the `Answer` into that protocol's words.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import ujson
from msgspec import Struct

from demo.schema_value import COMMAND, as_list, sample

MODELS = (
    "demo",
    "demo-slow",
    "demo-429",
    "demo-529",
    "demo-500",
    "demo-cut",
    "demo-error",
    "demo-long",
    "demo-think",
)
CREATED = 1_767_225_600  # 2026-01-01; it is fixed, so that the same request has the same answer
CREATED_ISO = "2026-01-01T00:00:00Z"

CHARS_A_TOKEN = 4
ATTACHMENT_CHARS = 6_400  # an image or a file counts as 1,600 tokens at most
PIECE_CHARS = 12  # text per delta event
LONG_PIECE_CHARS = 5  # demo-long: "0000 ", "0001 ", ...
QUOTE_CHARS = 36  # so that the whole text fits in 64 tokens, a usual max_tokens for a first try

PREFERRED_TOOLS = ("Bash", "bash", "exec_command", "shell_command", "shell", "get_weather")
PATCH = "*** Begin Patch\n*** Add File: hello-from-tool.txt\n+hello-from-tool\n*** End Patch\n"
THINKING = (
    "The demo upstream has no thoughts of its own. These words stand where a model would reason "
    "before it answers, so that you can see how your client shows them."
)
# A request for a summary of a coding agent's context asks for text, so a tool call would be wrong.
NO_TOOLS = re.compile(r"do not (?:call|use) any tools", re.IGNORECASE)

Stop = Literal["end", "tool", "length", "sequence"]
Who = Literal["user", "assistant", "result"]


class BadRequest(Exception):
    """Says that the request is refused with a 400. param: the field with the error, or None."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class Tool(Struct, frozen=True):
    """A tool that the client runs: `schema` for kind function, free text for kind custom."""

    name: str
    schema: Any = None
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None


class Turn(Struct, frozen=True):
    who: Who
    text: str = ""
    calls: tuple[str, ...] = ()  # names of the tools that an assistant turn called


class Ask(Struct, frozen=True):
    """One request, protocol-free. `key` is a digest of its body, `body` the body itself for echoes."""

    key: str
    model: str
    stream: bool
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...]
    input_tokens: int
    body: dict[str, Any]
    choice: Literal["auto", "any", "none", "tool"] = "auto"
    choice_name: str | None = None
    schema: Any = None  # structured output: a JSON schema, or None for free text
    max_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    compact: bool = False  # Responses only: the client wants a compaction item


class Call(Struct, frozen=True):
    name: str
    arguments: str  # JSON text, or free text for kind custom
    kind: Literal["function", "custom"]
    namespace: str | None


class Answer(Struct, frozen=True):
    """The reply: thinking, then text, then a call; each may be missing. The sum of tokens is above 0."""

    thinking: str
    text: str
    call: Call | None
    stop: Stop
    stop_sequence: str | None
    thinking_tokens: int
    output_tokens: int
    piece_chars: int = PIECE_CHARS


def answer(ask: Ask, long_events: int = 5_000) -> Answer:
    """What the demo answers to `ask`. Raises BadRequest when a forced tool is not among the tools."""
    if ask.compact:  # the answer is only the compaction item; its size is that of a short text
        return Answer("", "", None, "end", None, 0, 8)
    thinking = THINKING if ask.model == "demo-think" else ""
    tool = pick_tool(ask)
    text = "Let me use a tool." if tool else _prose(ask, long_events)
    return _fit(ask, thinking, text, _call(tool) if tool else None)


def pick_tool(ask: Ask) -> Tool | None:
    """The tool to call now, or None for an answer in text."""
    if ask.choice == "none":
        return None
    if ask.choice == "tool":
        for tool in ask.tools:
            if tool.name == ask.choice_name:
                return tool
        # The upstream runs a server-side tool itself; if one is forced, the demo answers with text instead.
        if any(_declares(entry, ask.choice_name) for entry in ask.body.get("tools") or ()):
            return None
        raise BadRequest(f"Tool '{ask.choice_name}' not found in provided tools", "tool_choice")
    if not ask.tools:
        return None
    answered, called = progress(ask.turns)
    if ask.choice == "auto" and (
        answered or ask.model in ("demo-cut", "demo-error", "demo-long") or NO_TOOLS.search(_last_user_text(ask.turns))
    ):
        return None
    # A client that requires a call at every step gets another tool each time, so that the turn ends.
    fresh = [tool for tool in ask.tools if tool.name not in called] or list(ask.tools)
    by_name = {tool.name: tool for tool in fresh}
    return next((by_name[name] for name in PREFERRED_TOOLS if name in by_name), fresh[0])


def progress(turns: tuple[Turn, ...]) -> tuple[bool, set[str]]:
    """(whether a tool has answered in the current turn, the names of the tools called in it).

    Text of the user that follows a result belongs to the same turn: clients put reminders there, and
    translators put images there. A user turn after an answer in text starts a new one.
    """
    answered = asked = False
    called: set[str] = set()
    for turn in reversed(turns):
        if turn.who == "result":
            answered = True
        elif turn.who == "user":
            if answered:
                break
            asked = True
        elif asked and not answered:
            break
        else:
            called.update(turn.calls)
    return answered, called


def _call(tool: Tool) -> Call:
    if tool.kind == "custom":
        return Call(tool.name, PATCH if tool.name == "apply_patch" else COMMAND, "custom", tool.namespace)
    value = sample(tool.schema)
    return Call(tool.name, dumps(value if isinstance(value, dict) else {}), "function", tool.namespace)


def _prose(ask: Ask, long_events: int) -> str:
    if ask.schema is not None:
        return dumps(sample(ask.schema))
    if ask.model == "demo-long":
        return "".join(f"{n % 10_000:04d} " for n in range(long_events))
    parts = ["This is the built-in demo upstream, not a model."]
    if progress(ask.turns)[0]:
        result = _quote(next(turn.text for turn in reversed(ask.turns) if turn.who == "result"))
        parts.append(f'The tool answered: "{result}".' if result else "The tool answered.")
    parts.append(f'You wrote: "{_quote(_last_user_text(ask.turns))}".')
    parts.append("For real answers set ANTHROPIC_API_KEY or OPENAI_API_KEY and start the proxy again.")
    return " ".join(parts)


def _fit(ask: Ask, thinking: str, text: str, call: Call | None) -> Answer:
    """Cuts the answer at a stop sequence and at max_tokens, in the order of its parts."""
    stop: Stop = "tool" if call else "end"
    hit = min(((at, seq) for seq in ask.stop_sequences if seq and (at := text.find(seq)) >= 0), default=None)
    sequence = None
    if hit:
        text, sequence, stop, call = text[: hit[0]], hit[1], "sequence", None
    left = ask.max_tokens if ask.max_tokens is not None else 1 << 40
    asked = tokens(thinking) + tokens(text) + (tokens(call.arguments) + 1 if call else 0)
    if asked > left:
        stop, sequence = "length", None
        if call and tokens(thinking) + tokens(text) + tokens(call.arguments) + 1 > left:
            call = None  # a cut call is left out, because clients would run its cut arguments
    thinking = thinking[: left * CHARS_A_TOKEN]
    left -= tokens(thinking)
    text = text[: left * CHARS_A_TOKEN]
    said = tokens(thinking) + tokens(text) + (tokens(call.arguments) + 1 if call else 0)
    return Answer(
        thinking,
        text,
        call,
        stop,
        sequence,
        tokens(thinking),
        max(1, said),
        LONG_PIECE_CHARS if ask.model == "demo-long" else PIECE_CHARS,
    )


def pieces(text: str, size: int) -> list[str]:
    """`text` in pieces of `size` characters, in order; [] for no text."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def tokens(text: str) -> int:
    """Tokens in `text` by the demo's count: a quarter of the characters, rounded up."""
    return -(-len(text) // CHARS_A_TOKEN)


def input_tokens(*roots: Any) -> int:
    """Tokens in the given parts of a body, at least 1. Walks without recursion: bodies may be deep."""
    chars = 0
    todo: list[Any] = list(roots)
    while todo:
        node = todo.pop()
        if isinstance(node, str):
            chars += min(len(node), ATTACHMENT_CHARS) if node.startswith("data:") else len(node)
        elif isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            for key, value in node.items():
                chars += len(key)
                if key in ("data", "file_data") and isinstance(value, str):
                    chars += min(len(value), ATTACHMENT_CHARS)
                else:
                    todo.append(value)
    return max(1, -(-chars // CHARS_A_TOKEN))


def content_text(content: Any) -> str:
    """The last text of a message that its author wrote; clients add reminders around it."""
    texts = (
        [content]
        if isinstance(content, str)
        else [
            str(part.get("text") or "")
            for part in as_list(content)
            if isinstance(part, dict) and part.get("type") in ("text", "input_text", "output_text")
        ]
    )
    own = [text for text in texts if text.strip() and not text.lstrip().startswith("<system-reminder>")]
    return own[-1] if own else ""


def limit(body: dict[str, Any], *names: str) -> int | None:
    """The first of the named token limits that is there, or None. Raises BadRequest unless it is >= 1."""
    for name in names:
        value = body.get(name)
        if value is not None:
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise BadRequest(f"{name}: must be a whole number of at least 1", name)
            return value
    return None


def dumps(value: Any) -> str:
    """JSON text. ASCII only, because a quote may hold a lone surrogate that UTF-8 cannot carry."""
    return ujson.dumps(value, escape_forward_slashes=False)


def _declares(entry: Any, name: str | None) -> bool:
    return isinstance(entry, dict) and entry.get("name") == name


def _last_user_text(turns: tuple[Turn, ...]) -> str:
    return next((turn.text for turn in reversed(turns) if turn.who == "user" and turn.text), "")


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= QUOTE_CHARS else text[: QUOTE_CHARS - 3] + "..."
