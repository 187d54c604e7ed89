"""The list of models, for programs whose users pick one of them: Claude Code and Codex.

Claude Code asks GET /v1/models?limit=1000 and shows only ids that contain `claude` or `anthropic`. For it, all other
models are listed as anthropic-proxy/UPSTREAM/MODEL. The router accepts this name like any other name of a model.
Codex gets entries for its catalogue (translate/codex/).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from tornado.httputil import HTTPHeaders

from gateway.routing.known_models import Model
from gateway.routing.router import PICKED
from translate.codex import catalogue
from translate.codex.instructions import INSTRUCTIONS
from translate.json import wire

log = logging.getLogger("gateway")

_AGENTS = ("claude-code/", "claude-cli/")
_SHOWN = ("claude", "anthropic")


def is_for(headers: HTTPHeaders) -> bool:
    """Whether the request comes from Claude Code, which shows the answer in its /model."""
    return headers.get("User-Agent", "").startswith(_AGENTS)


def listed(model: Model) -> Model:
    """The model with an id that Claude Code shows."""
    id = model.id
    if not any(word in id.lower() for word in _SHOWN):
        id = f"{PICKED}{_of(model)}"
    return replace(model, id=id, name=model.name or model.id)


def _of(model: Model) -> str:
    named = model.upstream and not model.id.startswith(f"{model.upstream}/") and model.upstream != "alias"
    return f"{model.upstream}/{model.id}" if named else model.id


async def for_codex(models: Sequence[Model], file: str, version: str) -> bytes:
    """Returns the entries of Codex's catalogue. file: of [server] codex_instructions, "" = the proxy's own words.
    version: of Codex."""
    instructions = await asyncio.to_thread(_instructions, file) if file else INSTRUCTIONS
    return wire.dumps(catalogue.page(models, instructions, version))


def _instructions(file: str) -> str:
    """Reads the file, which was there when the settings were read. It is read each time, since somebody who writes a
    prompt tries it often."""
    try:
        said = Path(file).read_text("utf-8")
    except (OSError, UnicodeError) as why:
        log.warning("[server] codex_instructions: %s cannot be read (%s); Codex gets the proxy's own", file, why)
        return INSTRUCTIONS
    return said if said.strip() else INSTRUCTIONS
