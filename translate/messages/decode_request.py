"""Requests: a client's Messages body -> Conversation (decode); encode, in encode_request.py, writes them.

decode is called only when the request crosses to another protocol, so it may be thorough: it checks what it reads and
words a refusal as Anthropic does, naming the field. It is no stricter than Anthropic: unknown fields are carried, at
the top level too (ext["messages"], each key a field of the body), so that the other side can report those that it
leaves out. ext["messages"] is there for every conversation that was read here. Source: platform.claude.com, API
reference "Create a Message"; anthropic SDK types/message_create_params.py.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from translate import recurring
from translate.conversation import (
    Conversation,
    OutputFormat,
    Part,
    Purpose,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
)
from translate.failures.errors import BadRequest
from translate.fields.leftovers import note_within
from translate.json.json_fields import is_number
from translate.messages import decode_messages, mid_conversation
from translate.messages.encode_request import encode
from translate.messages.words import WORDS
from translate.tools import tool_search

__all__ = ["decode", "encode"]

BETWEEN_TOOLS = "between_tools"  # how a model that always notes something between two calls is told not to think
MIN_THINKING_BUDGET = 1_024
BILLING = "x-anthropic-billing-header:"  # Claude Code's attribution block: changes with every prompt

_KNOWN = frozenset({
    "model", "messages", "system", "tools", "tool_choice", "max_tokens", "stop_sequences", "temperature",
    "top_p", "top_k", "thinking", "output_config", "output_format", "metadata", "stream",
})  # fmt: skip
_PLAIN = frozenset(("role", "content"))  # of a message
_SAMPLING = ("temperature", "top_p", "top_k", "stop_sequences")
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_CHOICES = ("auto", "any", "none", "tool")
_CHOICE = ("type", "name", "disable_parallel_tool_use")


def decode(body: dict[str, Any]) -> Conversation:
    """Reads a Messages request body into the neutral form. Raises BadRequest naming the field."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: Field required")
    if body.get("thread") is not None:  # the gateway takes it out where it keeps the thread itself
        details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
        raise BadRequest("thread: this upstream holds no conversations; send all of it instead", details=details)
    left = {key: value for key, value in body.items() if key not in _KNOWN}
    turns, system = _turns(body.get("messages")), _system(body.get("system"))
    most = _max_tokens(body.get("max_tokens"))
    tools = _tools(body.get("tools"), body, turns)
    conversation = Conversation(
        model, turns, system, tools, sampling=_sampling(body), max_tokens=most, ext={"messages": left}, words=WORDS,
        stream=body.get("stream") is True,
    )  # fmt: skip
    _tool_choice(body.get("tool_choice"), conversation)
    _thinking(body.get("thinking"), conversation, left)
    _output(body, conversation, left)
    _metadata(body.get("metadata"), conversation, left)
    _maybe_string(body, "service_tier")
    mid_conversation.apply(conversation, body["messages"], _tool)
    return conversation


# ------------------------------------------------------------------------------------------- messages


def _turns(messages: Any) -> list[Turn]:
    if messages is None:
        raise BadRequest("messages: Field required")
    if not isinstance(messages, list):
        raise BadRequest("messages: Input should be a valid list")
    if not messages:
        raise BadRequest("messages: at least one message is required")
    return recurring.each(messages, _turn, "messages")


def _turn(message: Any, where: str) -> Turn:
    """Reads one message. ext keeps that it is a system message, which may go back as it was (see
    encode_messages.py)."""
    if not isinstance(message, dict):
        raise BadRequest(f"{where}: Input does not match the expected shape.")
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise BadRequest(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
    if "content" not in message and not (role == "system" and message.get("output_config")):
        raise BadRequest(f"{where}.content: Field required")
    left = {} if message.keys() <= _PLAIN else {k: v for k, v in message.items() if k not in _PLAIN}
    if role == "system":
        left["role"] = "system"
    content = decode_messages.read_content(message.get("content", ""), f"{where}.content")
    for_one_turn = role == "system" and left.get("clear_at") == "next_user_message"
    return Turn(role, content, {"messages": left} if left else {}, for_one_turn=for_one_turn)


def _system(system: Any) -> list[Part]:
    if system is None:
        return []
    return [p for part in decode_messages.read_content(system, "system") if (p := _unbilled(part)) is not None]


def _unbilled(part: Part) -> Part | None:
    """Returns the part without the attribution line. That is a block of its own, unless a client made one text of all
    blocks."""
    if not isinstance(part, Text) or not part.text.startswith(BILLING):
        return part
    rest = part.text.partition("\n")[2].lstrip("\n")
    return Text(rest, part.ext) if rest.strip() else None


# ---------------------------------------------------------------------------------------------- tools


def _tools(tools: Any, body: dict[str, Any], turns: list[Turn]) -> list[Tool]:
    if tools is None:
        return []
    if not isinstance(tools, list):
        raise BadRequest("tools: Input should be a valid list")
    read = recurring.each(tools, _tool, "tools")
    if any(tool.deferred for tool in read):
        shown = _shown(body["messages"], turns)
        read = [replace(tool, deferred=False) if tool.deferred and tool.name in shown else tool for tool in read]
    return read


def _shown(messages: list[Any], turns: list[Turn]) -> set[str]:
    """Returns the deferred tools that the model knows by now: a search found them, or it has called them."""
    names = {name for message in messages for name in decode_messages.referenced_tools(message.get("content"))}
    return names | {part.name for turn in turns for part in turn.parts if isinstance(part, ToolCall)}


_TOOL_SEARCH: dict[str, Purpose] = {"bm25": "search_bm25", "regex": "search_regex"}


def _purpose(kind: str) -> Purpose:
    if re.fullmatch(r"web_search_\d+", kind):
        return "web_search"
    found = tool_search.MESSAGES_TYPE.fullmatch(kind)
    return _TOOL_SEARCH[found[1]] if found else ""


def _tool(tool: Any, where: str) -> Tool:
    if not isinstance(tool, dict):
        raise BadRequest(f"{where}: Input should be a valid dictionary")
    deferred = tool.get("defer_loading") is True
    if tool.get("type") not in (None, "custom"):
        given = str(tool.get("name") or "")
        purpose = _purpose(str(tool.get("type")))
        return Tool(given, kind="server", protocol="messages", raw=tool, deferred=deferred, purpose=purpose)
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise BadRequest(f"{where}.name: Field required")
    schema = tool.get("input_schema")
    if not isinstance(schema, dict):
        problem = "Field required" if schema is None else "Input should be a valid dictionary"
        raise BadRequest(f"{where}.input_schema: {problem}")
    strict = tool.get("strict")
    return Tool(
        name,
        _maybe_string(tool, "description", f"{where}."),
        schema,
        strict=strict if isinstance(strict, bool) else None,
        deferred=deferred,
        declared_deferred=deferred,
        ext=decode_messages.rest(tool, "name", "description", "input_schema", "strict"),
    )


def _tool_choice(choice: Any, conversation: Conversation) -> None:
    """Reads tool_choice. disable_parallel_tool_use is a part of it, and the inverse of the other protocols' flag."""
    if choice is None:
        return
    if not isinstance(choice, dict) or choice.get("type") not in _CHOICES:
        raise BadRequest("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    name = _maybe_string(choice, "name", "tool_choice.") if choice["type"] == "tool" else ""
    if choice["type"] == "tool" and not name:
        raise BadRequest("tool_choice.tool.name: Field required")
    conversation.tool_choice = ToolChoice(choice["type"], name)
    note_within(choice, "tool_choice", _CHOICE, conversation.ext)
    disabled = choice.get("disable_parallel_tool_use")
    if isinstance(disabled, bool):
        conversation.parallel_tools = not disabled


# -------------------------------------------------------------------------------------------- scalars


def _max_tokens(value: Any) -> int:
    """Refuses 0, which asks Anthropic to fill its prompt cache and answer nothing: no other protocol can say that."""
    if value is None:
        raise BadRequest("max_tokens: Field required")
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest("max_tokens: Input should be a valid integer")
    if value < 1:
        raise BadRequest("max_tokens: must be greater than or equal to 1")
    return value


def _sampling(body: dict[str, Any]) -> Sampling:
    if body.keys().isdisjoint(_SAMPLING):
        return Sampling()
    top_k = body.get("top_k")
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool)):
        raise BadRequest("top_k: Input should be a valid integer")
    stop = body.get("stop_sequences")
    if stop is None:
        stop = []
    if not isinstance(stop, list) or not all(isinstance(s, str) for s in stop):
        raise BadRequest("stop_sequences: Input should be a valid list of strings")
    return Sampling(_number(body, "temperature"), _number(body, "top_p"), top_k, list(stop))


def _number(body: dict[str, Any], key: str) -> float | None:
    value = body.get(key)
    if value is not None and not is_number(value):
        raise BadRequest(f"{key}: Input should be a valid number")
    return value


def _maybe_string(body: dict[str, Any], key: str, where: str = "") -> str:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{where}{key}: Input should be a valid string")
    return value or ""


def _section(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"{key}: Input should be a valid dictionary")
    return value or {}


def _thinking(thinking: Any, conversation: Conversation, left: dict[str, Any]) -> None:
    """Reads thinking. A mode that is not known and a key beside the known ones stay in ext."""
    reasoning = conversation.reasoning
    if thinking is None:
        return
    mode = thinking.get("type") if isinstance(thinking, dict) else None
    if not isinstance(mode, str):
        raise BadRequest("thinking.type: Field required")
    extra = {k: v for k, v in thinking.items() if k not in ("type", "budget_tokens", "display")}
    if mode == "enabled":
        reasoning.enabled = True
        reasoning.budget = _budget(thinking.get("budget_tokens"))
    elif mode == "adaptive":
        reasoning.enabled = reasoning.adaptive = True
    elif mode in ("disabled", BETWEEN_TOOLS):
        reasoning.enabled = False
        if mode == BETWEEN_TOOLS:
            conversation.ext["messages.form"] = {"thinking": mode}
    else:
        extra["type"] = mode
    reasoning.display = _maybe_string(thinking, "display", "thinking.")
    if extra:
        left["thinking"] = extra


def _budget(value: Any) -> int:
    where = "thinking.enabled.budget_tokens"
    if not isinstance(value, int) or isinstance(value, bool):
        problem = "Field required" if value is None else "Input should be a valid integer"
        raise BadRequest(f"{where}: {problem}")
    if value < MIN_THINKING_BUDGET:
        raise BadRequest(f"{where}: Input should be greater than or equal to {MIN_THINKING_BUDGET}")
    return value


def _output(body: dict[str, Any], conversation: Conversation, left: dict[str, Any]) -> None:
    """Reads the effort and the format of output_config; output_format is where the format was in the first beta."""
    if "output_config" not in body and "output_format" not in body:
        return
    config = _section(body, "output_config")
    conversation.reasoning.effort = _maybe_string(config, "effort", "output_config.")
    if extra := {key: value for key, value in config.items() if key not in ("effort", "format")}:
        left["output_config"] = extra
    field = "output_config" if config.get("format") is not None else "output_format"
    wanted = config.get("format") if field == "output_config" else body.get("output_format")
    if wanted is None:
        return
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise BadRequest(f"{field}: the format's type should be 'json_schema'")
    if not isinstance(wanted.get("schema"), dict):
        raise BadRequest(f"{field}: the format's schema is required")
    conversation.output = OutputFormat("json_schema", wanted["schema"])
    where = f"{field}.format" if field == "output_config" else field
    note_within(wanted, where, ("type", "schema", "name"), conversation.ext)


def _metadata(metadata: Any, conversation: Conversation, left: dict[str, Any]) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise BadRequest("metadata: Input should be a valid dictionary")
    conversation.user = _maybe_string(metadata, "user_id", "metadata.")
    if extra := {key: value for key, value in metadata.items() if key != "user_id"}:
        left["metadata"] = extra
