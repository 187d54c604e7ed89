"""What a request shows of itself, for the conditions of [models]: `claude-* if class auxiliary = ...`.

Facts are gathered only where a name has lines with conditions, since they cost a parse of the body. Each reads what the
three protocols call by different names. https://code.claude.com/docs tells the request classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tornado.httputil import HTTPHeaders

from operate.conditions import Condition, Term

LONG_CONTEXT = "[1m]"
_IMAGES = frozenset({"image", "image_url", "input_image"})
_MAX_DEPTH = 6  # of content within content: a tool's result in a message


@dataclass(frozen=True, slots=True)
class Facts:
    """asked_class: lower case, "" if not said. tokens: of the input, an estimate."""

    asked_class: str
    images: bool
    tools: bool
    thinking: bool
    stream: bool
    long_context: bool
    tokens: int

    def meet(self, condition: Condition) -> bool:
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
        asked_class=headers.get("X-Claude-Code-Request-Class", "").strip().lower(),
        images=_has_image([body.get("messages"), body.get("input")], 0),
        tools=bool(body.get("tools") or body.get("functions")),
        thinking=_thinks(body),
        stream=body.get("stream") is True,
        long_context=model.endswith(LONG_CONTEXT),
        tokens=tokens,
    )


def _thinks(body: dict[str, Any]) -> bool:
    """Whether it asks the model to think: Messages' thinking, Chat's reasoning_effort, Responses' reasoning."""
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
            if part.get("type") in _IMAGES:
                return True
            within = [part[key] for key in ("content", "output") if isinstance(part.get(key), list)]
            if within and depth < _MAX_DEPTH and _has_image(within, depth + 1):
                return True
    return False
