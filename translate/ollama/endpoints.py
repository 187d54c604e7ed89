"""Where clients ask that speak nothing but Ollama's own form: two addresses of Chat in other clothes."""

from __future__ import annotations

from collections.abc import Mapping

from translate.dialect import Endpoint, Framed
from translate.ollama import reply, request

_CHAT = Framed(
    reply.CONTENT_TYPE, lambda: reply.Lines(generates=False), lambda raw: reply.whole(raw, generates=False), reply.error
)
_GENERATE = Framed(
    reply.CONTENT_TYPE, lambda: reply.Lines(generates=True), lambda raw: reply.whole(raw, generates=True), reply.error
)


def _chat(query: Mapping[str, str]) -> Framed:
    return _CHAT


def _generate(query: Mapping[str, str]) -> Framed:
    return _GENERATE


ENDPOINTS = (
    Endpoint("", "/api/chat", "chat/completions", framed=_chat, opened=request.of_chat, alone=reply.chat_loaded),
    Endpoint(
        "",
        "/api/generate",
        "chat/completions",
        framed=_generate,
        opened=request.of_generate,
        alone=reply.generate_loaded,
    ),
)
