"""The list of models, as clients are told it: OpenAI's shape, and what the others share with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class ListedModel(Protocol):
    """id: what a client may ask for. upstream: who has it. name: for people, "" where it has none. created: Unix
    seconds; made: the same as RFC 3339 has it; described: one line for whoever picks. context: tokens, 0 = unknown.
    sees: whether it takes images; thinks: whether it can be told how much to think; None = unknown."""

    @property
    def id(self) -> str: ...

    @property
    def upstream(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def created(self) -> int: ...

    @property
    def made(self) -> str: ...

    @property
    def described(self) -> str: ...

    @property
    def context(self) -> int: ...

    @property
    def sees(self) -> bool | None: ...

    @property
    def thinks(self) -> bool | None: ...


def row(model: ListedModel) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.upstream}


def page(models: Sequence[ListedModel], asked: Mapping[str, str]) -> dict[str, Any]:
    """Returns all models: the list has no pages. asked: the request's query."""
    return {"object": "list", "data": list(map(row, models))}
