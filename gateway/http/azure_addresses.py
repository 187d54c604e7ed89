"""Azure's addresses of OpenAI's API, which are further spellings of the plain ones.

    /openai/v1/chat/completions                                    /v1/chat/completions
    /openai/responses?api-version=2025-04-01-preview               /v1/responses
    /openai/deployments/NAME/chat/completions?api-version=...      /v1/chat/completions, model NAME

A deployment's name stands in the address, and whatever model the body names means nothing then, as at Azure.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple
from urllib.parse import unquote

from msgspec import structs

from translate.endpoint import Endpoint, Unsealed
from translate.json import top_level, wire

ROOT = "/openai/"
MAX_LENGTH = 8192  # characters: a longer address is not looked at

_DEPLOYED = re.compile(r"/openai/deployments/([^/]{1,2048})/(.+)")
_VERSION = re.compile(r"(?:^|&)api-version=[^&]*")


class Plain(NamedTuple):
    """target: the address as OpenAI has it. deployment: the model's name if the address has one, else ""."""

    target: str
    deployment: str = ""


def plain(target: str) -> Plain:
    path, mark, query = target.partition("?")
    if not path.startswith(ROOT) or len(target) > MAX_LENGTH:
        return Plain(target)
    if path.startswith("/openai/v1/"):
        return Plain(target.removeprefix("/openai"))
    query = _VERSION.sub("", query).removeprefix("&")  # it is the version of this spelling, and not of the API
    query = mark + query if query else ""
    if found := _DEPLOYED.fullmatch(path):
        return Plain(f"/v1/{found[2]}{query}", unquote(found[1]))
    return Plain(f"/v1/{path.removeprefix(ROOT)}{query}")


@functools.cache
def deployed(endpoint: Endpoint) -> Endpoint:
    """Returns the endpoint for an address that names the model."""
    other = endpoint.other and endpoint.other._replace(endpoint=deployed(endpoint.other.endpoint))
    return structs.replace(endpoint, unsealed=_named, other=other)


def _named(body: bytes, model: str, streams: bool | None) -> Unsealed:
    """Returns the body with this model. A body that names it already is passed on unchanged."""
    first = b'"model":' + wire.dumps(model)
    named, said = top_level.taken(body, ("model",), first)
    same = said.get("model") == wire.dumps(model)
    return Unsealed(body if same else named, {})
