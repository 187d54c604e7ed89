"""Where clients ask that speak nothing but Ollama's own form: addresses of Chat and of embeddings in other clothes."""

from __future__ import annotations

from collections.abc import Mapping

from translate.dialect import Endpoint, Framed
from translate.ollama import embeddings, reply, request

_CHAT = Framed(
    reply.CONTENT_TYPE, lambda: reply.Lines(generates=False), lambda raw: reply.whole(raw, generates=False), reply.error
)
_GENERATE = Framed(
    reply.CONTENT_TYPE, lambda: reply.Lines(generates=True), lambda raw: reply.whole(raw, generates=True), reply.error
)
_EMBED = Framed(reply.CONTENT_TYPE, lambda: reply.Lines(generates=False), embeddings.embedded, reply.error)
_EMBEDDINGS = Framed(reply.CONTENT_TYPE, lambda: reply.Lines(generates=False), embeddings.embedded_before, reply.error)


def _chat(query: Mapping[str, str]) -> Framed:
    return _CHAT


def _generate(query: Mapping[str, str]) -> Framed:
    return _GENERATE


def _embed(query: Mapping[str, str]) -> Framed:
    return _EMBED


def _embeddings(query: Mapping[str, str]) -> Framed:
    return _EMBEDDINGS


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

EMBEDDINGS = (
    Endpoint(
        "embeddings",
        "/api/embed",
        "embeddings",
        relayed=True,
        deterministic=True,
        framed=_embed,
        opened=embeddings.of_embed,
        alone=embeddings.loaded,
    ),
    Endpoint(
        "embeddings",
        "/api/embeddings",
        "embeddings",
        relayed=True,
        deterministic=True,
        framed=_embeddings,
        opened=embeddings.of_embeddings,
        alone=embeddings.loaded,
    ),
)
