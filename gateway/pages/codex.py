"""What Codex is told of the models: entries for its catalogue (translate/codex/)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from gateway.routing.known_models import Model
from translate import wire
from translate.codex import catalogue
from translate.codex.instructions import INSTRUCTIONS

log = logging.getLogger("gateway")


async def page(models: Sequence[Model], file: str) -> bytes:
    """Returns the entries. file: of [server] codex_instructions, "" = the proxy's own words."""
    return wire.dumps(catalogue.page(models, await asyncio.to_thread(_instructions, file) if file else INSTRUCTIONS))


def _instructions(file: str) -> str:
    """Reads the file, which was there when the settings were read. It is read each time, since somebody who writes a
    prompt tries it often."""
    try:
        said = Path(file).read_text("utf-8")
    except (OSError, UnicodeError) as why:
        log.warning("[server] codex_instructions: %s cannot be read (%s); Codex gets the proxy's own", file, why)
        return INSTRUCTIONS
    return said if said.strip() else INSTRUCTIONS
