"""The names under which every model of every upstream reaches Claude Code's /model.

Claude Code asks GET /v1/models?limit=1000 and keeps only ids that contain `claude` or `anthropic`. All others are
listed for it as anthropic-proxy/UPSTREAM/MODEL, a name that the router takes wherever a model is named.
"""

from __future__ import annotations

from tornado.httputil import HTTPHeaders

from gateway.pages.known_models import Model
from gateway.routing.router import PICKED

_AGENTS = ("claude-code/", "claude-cli/")
_SHOWN = ("claude", "anthropic")


def is_for(headers: HTTPHeaders) -> bool:
    """Does Claude Code ask, which builds its picker from the answer?"""
    return headers.get("User-Agent", "").startswith(_AGENTS)


def listed(model: Model) -> Model:
    """The model as Claude Code can show it."""
    id = model.id
    if not any(word in id.lower() for word in _SHOWN):
        id = f"{PICKED}{_of(model)}"
    return Model(id, model.upstream, model.name or model.id, model.created, model.context, model.price)


def _of(model: Model) -> str:
    named = model.upstream and not model.id.startswith(f"{model.upstream}/") and model.upstream != "alias"
    return f"{model.upstream}/{model.id}" if named else model.id
