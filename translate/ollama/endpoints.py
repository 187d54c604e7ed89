"""Where clients ask that speak nothing but Ollama's own form: addresses of Chat and of embeddings in other clothes."""

from __future__ import annotations

from collections.abc import Mapping

from translate.endpoint import Endpoint, Framed, Timed
from translate.ollama import embeddings, reply, request


def _form(*, generates: bool) -> Framed:
    timed = Timed(
        lambda clock: reply.Lines(generates, clock), lambda raw, seconds: reply.whole(raw, generates, seconds)
    )
    return Framed(
        reply.CONTENT_TYPE,
        lambda: reply.Lines(generates),
        lambda raw: reply.whole(raw, generates),
        reply.error,
        timed,
    )


_CHAT, _GENERATE = _form(generates=False), _form(generates=True)
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
        untranslated=True,
        deterministic=True,
        framed=_embed,
        opened=embeddings.of_embed,
        alone=embeddings.loaded,
    ),
    Endpoint(
        "embeddings",
        "/api/embeddings",
        "embeddings",
        untranslated=True,
        deterministic=True,
        framed=_embeddings,
        opened=embeddings.of_embeddings,
        alone=embeddings.loaded,
    ),
)
