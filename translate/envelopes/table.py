"""The table of envelopes, by their names in settings."""

from __future__ import annotations

import re
from collections.abc import Callable

from translate.dialect import Dialect
from translate.envelopes.bedrock import BEDROCK
from translate.envelopes.envelope import Envelope
from translate.envelopes.vertex import VERTEX
from translate.gemini.dialect import GEMINI
from translate.messages.dialect import MESSAGES

ENVELOPES = {each.name: each for each in (BEDROCK, VERTEX)}


_GOOGLES = re.compile(r"(?:^|/)gemini-", re.I)
# Clouds that have each model in one protocol -> which one, by the model's name.
_BY_MODEL: dict[str, Callable[[str], Dialect]] = {
    VERTEX.name: lambda model: GEMINI if _GOOGLES.search(model) else MESSAGES,
}


def spoken(name: str, model: str, protocols: tuple[str, ...]) -> tuple[str, ...]:
    """The upstream's protocols in which it has a model. name: of its envelope."""
    known = _BY_MODEL.get(name)
    only = known(model).name if known is not None else ""
    return (only,) if only in protocols else protocols


def of(name: str, dialect: Dialect) -> Envelope | None:
    """The envelope of an upstream's requests in a dialect; None where it has none."""
    found = ENVELOPES.get(name)
    return found if found is not None and found.dialect.name == dialect.name else None
