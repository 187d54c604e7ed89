"""The table of envelopes, by their names in settings."""

from __future__ import annotations

from translate.dialect import Dialect
from translate.envelopes.bedrock import BEDROCK
from translate.envelopes.envelope import Envelope
from translate.envelopes.vertex import VERTEX

ENVELOPES = {each.name: each for each in (BEDROCK, VERTEX)}


def of(name: str, dialect: Dialect) -> Envelope | None:
    """The envelope of an upstream's requests in a dialect; None where it has none."""
    found = ENVELOPES.get(name)
    return found if found is not None and found.dialect.name == dialect.name else None
