"""Embeddings in Ollama's own form (/api/embed, and /api/embeddings of before) as requests of OpenAI's, and back.

Source: github.com/ollama/ollama, docs/api.md.
"""

from __future__ import annotations

from typing import Any

from translate.failures.errors import BadReply, BadRequest
from translate.json import wire
from translate.json.json_fields import Body, is_number, object_of, objects_of, text_of
from translate.ollama.request import plain

_KNOWN = frozenset(("model", "name", "input", "prompt", "dimensions", "options"))
_SILENT = frozenset(("keep_alive", "truncate"))  # about a server's memory; services refuse or cut what is too long


def of_embed(body: Body) -> tuple[Body, list[str]]:
    """Returns OpenAI's body, and the names of what is left out. Raises BadRequest."""
    given = body.get("input")
    inputs = given if isinstance(given, list) else [given]
    if given is not None and not all(isinstance(each, str) for each in inputs):
        raise BadRequest("input: a text or a list of texts is expected", "input")
    out, left = _common(body, given)
    if is_number(most := body.get("dimensions")) and most > 0:
        out["dimensions"] = int(most)
    return out, left


def of_embeddings(body: Body) -> tuple[Body, list[str]]:
    """The same at the address of before, which takes one text."""
    return _common(body, text_of(body, "prompt"))


def _common(body: Body, given: Any) -> tuple[Body, list[str]]:
    model = text_of(body, "model") or text_of(body, "name")
    if not model:
        raise BadRequest("model: the name of a model is expected", "model")
    left = [key for key in body if key not in _KNOWN | _SILENT and body[key] not in (None, "", [])]
    left += [f"options.{name}" for name in object_of(body, "options")]
    return {"model": plain(model), "input": given}, left


def loaded(body: Body) -> bytes | None:
    """Returns OpenAI's reply where there is nothing to embed: a client has its model loaded. None where there is."""
    asks = body.get("input") or body.get("prompt")
    return None if asks else wire.dumps({"model": text_of(body, "model") or text_of(body, "name"), "data": []})


def embedded(raw: bytes) -> bytes:
    """Returns OpenAI's reply as /api/embed has it. Raises BadReply."""
    said, vectors = _read(raw)
    used = object_of(said, "usage").get("prompt_tokens")
    told = {"prompt_eval_count": used} if is_number(used) else {}
    return wire.dumps({"model": text_of(said, "model"), "embeddings": vectors, **told})


def embedded_before(raw: bytes) -> bytes:
    """The same at the address of before."""
    return wire.dumps({"embedding": next(iter(_read(raw)[1]), [])})


def _read(raw: bytes) -> tuple[Body, list[Any]]:
    try:
        said = wire.loads(raw)
    except ValueError:
        raise BadReply("its reply to a request for embeddings is no JSON") from None
    is_read = isinstance(said, dict) and isinstance(said.get("data"), list)
    vectors = [row.get("embedding") for row in sorted(objects_of(said, "data"), key=_place)] if is_read else [None]
    if not all(isinstance(vector, list) for vector in vectors):
        raise BadReply("its reply has no embeddings, as lists of numbers")
    return said, vectors


def _place(row: Body) -> float:
    index = row.get("index")
    return index if is_number(index) else 0
