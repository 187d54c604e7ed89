"""Whole replies: an upstream's message -> events (explode), events -> the client's message (collect).

Both stand on the pieces that streams stand on (assembly.py, stop.py, usage.py, and the functions at the end of this
file), so that a reply is the same whether it was streamed or not. Arguments of a tool call that are no JSON
object are given to the client as {"_raw": text} (see repair.as_object). Parts of other protocols that Messages
has no block for are left out: an unknown block makes clients fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from translate import repair
from translate.conversation import (
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Part,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.counting.usage import with_estimate
from translate.failures import errors
from translate.failures.errors import BadReply
from translate.json import wire
from translate.json.json_fields import list_of, object_of, text_of
from translate.messages import assembly, citations
from translate.messages.stop import breakdown, explanation_in, read_stop, write_stop
from translate.messages.usage import read_usage, write_usage
from translate.reasoning import sealed_reasoning
from translate.streams.sequence import CUT, broken_call
from translate.target import Asked, ToolSearch
from translate.tools import websearch
from translate.tools.tool_search import Found

MESSAGE = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})


def explode(body: Any) -> list[Event]:
    """Returns the events of a whole reply: Start, (Open, Delta*, Close)*, Stop; or one Fault where the body is an error
    under a good status. Raises BadReply for what is no message."""
    if not isinstance(body, dict):
        raise BadReply("the upstream's reply is not a JSON object")
    if body.get("type") == "error" or body.get("error"):
        error = errors.of_object(body) or errors.ApiError("api", "the upstream answered with an error")
        return [Fault(error)]
    content = body.get("content")
    if isinstance(content, str) and body.get("type") == "message":  # as in a request
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        if (complaint := errors.remark(body)) is not None:
            return [Fault(complaint)]
        raise BadReply("the upstream's reply is not a message: it has no list of content blocks")
    if broke := breakdown(body.get("stop_reason")):
        return [Fault(broke)]
    usage = read_usage(body.get("usage"))
    out: list[Event] = [Start(text_of(body, "id"), text_of(body, "model"), usage)]
    if content and assembly.is_bare_call(content[-1]) and read_stop(body.get("stop_reason"), {ToolCall})[0] in CUT:
        content = content[:-1]  # only its name had come
    blocks = [assembly.tell(raw, out) for raw in content]
    reason, ext = read_stop(body.get("stop_reason"), {block.part for block in blocks})
    broken = next((block.broken for block in blocks if block.broken is not None), None)
    if broken is not None and reason not in CUT:
        return [Fault(broken_call(broken))]
    ext |= {key: value for key, value in body.items() if key not in MESSAGE}
    left = {"messages": ext} if ext else {}
    out.append(Stop(reason, usage, text_of(body, "stop_sequence"), left, explanation_in(body)))
    return out


def collect(events: list[Event], asked: Asked) -> dict[str, Any]:
    """Returns the client's message. Raises the error of a Fault, and BadReply where there is no Stop."""
    content: list[dict[str, Any]] = []
    seen: set[type[Part]] = set()
    known: Usage | None = None
    part: Part | None = None
    pieces: list[bytes] = []
    for event in events:
        match event:
            case Start():
                known = event.usage
            case Open():
                part, pieces = event.part, []
            case Delta():
                pieces += event.pieces
            case Close() if part is not None:
                if (block := _block(part, wire.text_of(pieces), event, asked, len(content))) is not None:
                    content.append(block)
                    seen.add(type(part))
                else:
                    content += several(part, asked, len(content))
                part = None
            case Fault():
                raise event.error
            case Stop():
                end = last_words(event, seen, event.usage or known, asked)
                return head(asked) | {"content": content} | end
    raise BadReply("the upstream's reply has no end")


def _block(part: Part, text: str, close: Close, asked: Asked, n: int) -> dict[str, Any] | None:
    block = opening(part, asked, n)
    if block is None:
        return None
    if block["type"] == "text":
        block["text"] = text
        if cited := citations.write(close.citations):
            block["citations"] = cited
    elif block["type"] == "thinking":
        block["thinking"] = text
        block["signature"] = close.signature or block["signature"] or sealed_reasoning.EMPTY
    elif block["type"] == "tool_use":
        is_custom = isinstance(part, ToolCall) and part.custom
        block["input"] = input_of_custom(text) if is_custom else repair.as_object(text)
    return block


# ---------------------------------------------------------------------------- shared with the stream


def head(asked: Asked) -> dict[str, Any]:
    """Returns a message's fields that are known before its first word. The client hears the model it asked for."""
    return {"id": f"msg_{asked.key}", "type": "message", "role": "assistant", "model": asked.model}


def opening(part: Part, asked: Asked, n: int) -> dict[str, Any] | None:
    """Returns the content block that a part begins as, its text still empty; `n` is its index. None for a part that
    Messages has no block for."""
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": ""} | part.ext.get("messages", {})
    if isinstance(part, Thinking):
        left = part.ext.get("messages", {})
        if part.encrypted:
            return {"type": "redacted_thinking", "data": part.encrypted} | left
        return {"type": "thinking", "thinking": "", "signature": part.signature} | left
    if isinstance(part, ToolCall):
        id = repair.tool_id(part.id) if part.id else f"toolu_{asked.key}_{n}"
        name = asked.tool_names.get(part.name, part.name)
        toolset = {"toolset_name": part.toolset} if part.toolset else {}
        return {"type": "tool_use", "id": id, "name": name, "input": {}} | toolset | part.ext.get("messages", {})
    if isinstance(part, Unknown) and part.protocol == "messages":
        return dict(part.raw)
    return None


def several(part: Part, asked: Asked, n: int) -> list[dict[str, Any]]:
    """Returns the blocks of a part that takes more than one here, whole: a provider's own search. The first one's index
    is `n`."""
    if isinstance(part, Unknown) and part.protocol == "responses":
        return websearch.blocks(part.raw, f"srvtoolu_{asked.key}_{n}")
    return []


def input_of_custom(text: str) -> dict[str, Any]:
    """Returns the input of a custom tool's call, should an upstream make one: no client of Messages declares such a
    tool."""
    return {"input": text}


def last_words(stop: Stop, seen: set[type[Part]], usage: Usage | None, asked: Asked) -> dict[str, Any]:
    """Returns stop_reason, stop_sequence, usage and what else the upstream said at the end."""
    usage = with_estimate(usage, asked.input_tokens)
    said = write_stop(stop, seen)
    said["usage"] = write_usage(usage)
    for key, value in stop.ext.get("messages", {}).items() if stop.ext else ():
        if key != "stop_reason":
            said[key] = value
    if stop.reason == "refusal" and stop.explanation and not said.get("stop_details"):
        said["stop_details"] = {"type": "refusal", "category": None, "explanation": stop.explanation}
    return said


def of_search(search: ToolSearch, found: Found, name: str, key: str, n: int) -> list[Part]:
    """Returns a search for deferred tools that the proxy has made: the call and its result."""
    return [Unknown("messages", raw) for raw in _search_blocks(found, name, f"srvtoolu_{key}_{n}")]


def _search_blocks(found: Found, name: str, id: str) -> list[dict[str, Any]]:
    content: dict[str, Any]
    if found.problem:
        content = {"type": "tool_search_tool_result_error", "error_code": "invalid_tool_input",
                   "error_message": found.problem}  # fmt: skip
    else:
        references = [{"type": "tool_reference", "tool_name": tool.name} for tool in found.tools]
        content = {"type": "tool_search_tool_search_result", "tool_references": references}
    return [
        {"type": "server_tool_use", "id": id, "name": name, "input": found.given, "caller": {"type": "direct"}},
        {"type": "tool_search_tool_result", "tool_use_id": id, "content": content},
    ]


# ------------------------------------------------------------------ files that a model's code has written
# Only the results of Anthropic's own tool count: what else a reply says may be in the words of a client.

TOOL = b"code_execution"  # in each request that has the tool
_FILE, _DATA = b'"file_id"', b"data:"
_RESULT = "code_execution_tool_result"  # how the types of its results end


def in_events(lines: bytes) -> Iterator[str]:
    """Yields the ids in whole lines of a stream."""
    for line in lines.splitlines() if _FILE in lines else ():
        if line.startswith(_DATA) and _FILE in line:
            yield from _of_block(object_of(_object_in(line[len(_DATA) :]), "content_block"))


def in_reply(raw: bytes) -> Iterator[str]:
    """Yields the ids in a whole reply."""
    for block in list_of(_object_in(raw), "content") if _FILE in raw else ():
        yield from _of_block(block)


def _object_in(raw: bytes) -> dict[str, Any]:
    try:
        said = wire.loads(raw)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _of_block(block: Any) -> Iterator[str]:
    if not isinstance(block, dict) or not text_of(block, "type").endswith(_RESULT):
        return
    for made in list_of(object_of(block, "content"), "content"):
        if isinstance(made, dict) and (id := text_of(made, "file_id")):
            yield id
