"""The list of models as Google tells it, in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from translate.failures.errors import BadRequest
from translate.model_list import ListedModel

USUAL, MOST = 50, 1000  # models on a page


def row(model: ListedModel) -> dict[str, Any]:
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.name or model.id,
        "description": model.described,
        **({"inputTokenLimit": model.context} if model.context else {}),
        "supportedGenerationMethods": ["generateContent", "countTokens", "streamGenerateContent"],
    }


def page(models: Sequence[ListedModel], asked: Mapping[str, str]) -> dict[str, Any]:
    """Returns one page of the list. asked: the request's query, of which pageSize and pageToken count. Raises
    BadRequest."""
    size, at = _number(asked, "pageSize"), _number(asked, "pageToken")
    size = min(size or USUAL, MOST)
    rows = [row(model) for model in models[at : at + size]]
    more = at + size < len(models)
    return {"models": rows} | ({"nextPageToken": str(at + size)} if more else {})


def _number(asked: Mapping[str, str], name: str) -> int:
    said = asked.get(name) or "0"
    if not (said.isascii() and said.isdecimal() and len(said) < 9):
        raise BadRequest(f"{name}: not the one of a page of this list", name)
    return int(said)
