"""Names models so that Claude Code's /model shows all of them.

Claude Code asks GET /v1/models?limit=1000 and shows only ids that contain `claude` or `anthropic`. For it, all other
models are listed as anthropic-proxy/UPSTREAM/MODEL. The router accepts this name like any other name of a model.
"""

from __future__ import annotations

from msgspec.structs import replace
from tornado.httputil import HTTPHeaders

from gateway.routing.known_models import Model
from gateway.routing.router import PICKED

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
