"""The facts about a request that conditions of [models] ask for, such as `claude-* if class auxiliary = ...`.

Facts are gathered only if the model's name has lines with conditions, because the body must be parsed for them. Each
fact is read from the different fields of the protocols. Source of the request classes:
https://code.claude.com/docs and the requests of Claude Code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct
from tornado.httputil import HTTPHeaders

from operate.settings.conditions import Condition, Term

LONG_CONTEXT = "[1m]"
_IMAGES = frozenset({"image", "image_url", "input_image"})
# The words with which Claude Code asks for a summary that replaces the conversation.
_COMPACTS = ("Your task is to create a detailed summary of", "tasked with summarizing conversations")
_IS_SUBAGENT = "cc_is_subagent=true"  # in the first line of its system prompt
_MAX_DEPTH = 6  # how deep content may be nested, such as a tool's result in a message


class Facts(Struct, frozen=True):
    """The facts. asked_class: in lower case, "" if it is unknown. tokens: the estimated tokens of input."""

    asked_class: str
    images: bool
    tools: bool
    thinking: bool
    stream: bool
    long_context: bool
    tokens: int

    def meet(self, condition: Condition) -> bool:
        """Whether the request meets a condition."""
        return all(self._meets(term) != term.negated for term in condition.terms)

    def _meets(self, term: Term) -> bool:
        if term.name == "class":
            return self.asked_class in term.words
        if term.name == "input":
            return self.tokens > term.number if term.op == ">" else self.tokens < term.number
        if term.name == "1m":
            return self.long_context
        return bool(getattr(self, term.name))


def facts(headers: HTTPHeaders, body: dict[str, Any], tokens: int, model: str) -> Facts:
    return Facts(
        asked_class=class_of(headers, body),
        images=_has_image([body.get("messages"), body.get("input"), body.get("contents")], 0),
        tools=bool(body.get("tools") or body.get("functions")),
        thinking=_thinks(body),
        stream=body.get("stream") is True,
        long_context=model.endswith(LONG_CONTEXT),
        tokens=tokens,
    )


def class_of(headers: HTTPHeaders, body: dict[str, Any]) -> str:
    """The purpose of a request of Claude Code. With CLAUDE_CODE_GATEWAY_HINT_HEADERS=1 a header tells it; otherwise it
    is seen in the request, and the requests of a workflow count as those of a subagent. "" for other clients."""
    if said := headers.get("X-Claude-Code-Request-Class", "").strip().lower():
        return str(said)
    if not headers.get("User-Agent", "").startswith("claude-cli/"):
        return ""
    if any(mark in text for text in (_asked_last(body), *_texts(body.get("system"))) for mark in _COMPACTS):
        return "compaction"
    if headers.get("X-Claude-Code-Agent-Id") or any(_IS_SUBAGENT in text for text in _texts(body.get("system"))):
        return "subagent"
    return "main" if _is_conversation(body) else "auxiliary"


def _asked_last(body: dict[str, Any]) -> str:
    """The last text of the user's last message."""
    messages = body.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            return next(reversed(list(_texts(message.get("content")))), "")
    return ""


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and isinstance(text := block.get("text"), str):
            yield text


def _is_conversation(body: dict[str, Any]) -> bool:
    """Whether a request belongs to a conversation, and is no small side task (a title, a web search): it has tools that
    the client runs, or context_management, or it only counts tokens."""
    tools = body.get("tools")
    own = any(isinstance(tool, dict) and "input_schema" in tool for tool in (tools if isinstance(tools, list) else ()))
    return own or "context_management" in body or "max_tokens" not in body


def _thinks(body: dict[str, Any]) -> bool:
    """Whether a request asks for thinking: by `thinking` (Messages), `reasoning_effort` (Chat), `reasoning` (Responses)
    or `thinkingConfig` (Gemini)."""
    config = body.get("generationConfig", body.get("generation_config"))
    said = config.get("thinkingConfig", config.get("thinking_config")) if isinstance(config, dict) else None
    if isinstance(said, dict):
        return any(value not in (0, False) for value in said.values())
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"):
        return True
    reasoning = body.get("reasoning")
    efforts = body.get("reasoning_effort"), reasoning.get("effort") if isinstance(reasoning, dict) else None
    return any(isinstance(effort, str) and effort != "none" for effort in efforts)


def _has_image(content: Iterable[Any], depth: int) -> bool:
    for part in content:
        if isinstance(part, list):
            if depth < _MAX_DEPTH and _has_image(part, depth + 1):
                return True
        elif isinstance(part, dict):
            if part.get("type") in _IMAGES or _is_googles_image(part):
                return True
            within = [part[key] for key in ("content", "output", "parts") if isinstance(part.get(key), list)]
            if within and depth < _MAX_DEPTH and _has_image(within, depth + 1):
                return True
    return False


def _is_googles_image(part: dict[str, Any]) -> bool:
    for name in ("inlineData", "inline_data", "fileData", "file_data"):
        if isinstance(said := part.get(name), dict):
            return str(said.get("mimeType", said.get("mime_type"))).startswith("image/")
    return False
