"""What a client may use: the models and the upstreams that its section in settings.ini names.

A request may name more models than the one that it asks for, and its upstream knows what to do with them: models to
fall back to (OpenRouter's `models`, `fallbacks`), and models of tools (Anthropic's advisor, OpenAI's pictures).

A client's own key (forward_client_key) is a secret between its owner and the service that has issued it. That service
is the first target of the model, in the order of the settings, that takes clients' keys. For a request with such a
key, the targets of other services that take clients' keys are left out, also for failover and hedges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from tornado.httputil import HTTPHeaders

from gateway.http.auth import keys_of
from gateway.routing.router import Route
from operate.settings.load import Settings
from translate.failures.errors import ApiError


class ClientRules(Struct, frozen=True):
    """The rules of one client. models: patterns. upstreams: names. Empty = all are allowed."""

    client: str
    models: tuple[str, ...]
    upstreams: tuple[str, ...]

    def allow(self, upstream: str, *names: str) -> bool:
        """Returns whether the client may use the model. names: what was asked for, and what the upstream calls it."""
        if self.upstreams and upstream not in self.upstreams:
            return False
        known = (*names, *(f"{upstream}/{name}" for name in names))
        return not self.models or any(fnmatchcase(name, pattern) for name in known for pattern in self.models)

    def permitted(self, routes: Iterable[Route], asked_model: str, further: Iterable[str] = ()) -> list[Route]:
        """Returns the routes that are left for the client. further: other models that the request names. Raises
        ApiError (403) if none is left."""
        left = [route for route in routes if self.allow(route.upstream.name, asked_model, route.model)]
        for name in further if left else ():
            asked_model = name
            left = [route for route in left if self.allow(route.upstream.name, name)]
            if not left:
                break
        if not left:
            what = "models" if not self.upstreams else "upstreams" if not self.models else "models and upstreams"
            raise ApiError(
                "permission",
                f"client '{self.client}' may not use model '{asked_model[:200]}': [client {self.client}] {what} in "
                "settings.ini says what it may use",
            )
        return left


_LISTS = ("models", "fallbacks", "tools", "plugins")
"""Fields whose items are names of models, or objects with a `model`."""


_LETTER = re.compile(rb"\\u00[67]").search
"""An escape of a letter, as no honest client writes a key in. (That of terminals is \\u001b.)"""


def may_name_further(body: bytes, *, in_path: bool) -> bool:
    """Returns whether a parse is needed to tell whether the request names further models. Inside of a text the words
    would be escaped. in_path: the body does not name the request's own model."""
    return body.count(b'"model') > (not in_path) or b'"fallbacks"' in body or _LETTER(body) is not None


def further_models(body: Mapping[str, Any]) -> Iterator[str]:
    """The models that a request names besides the one that it asks for."""
    for field in _LISTS:
        items = body.get(field)
        for item in items if isinstance(items, list) else ():
            name = item.get("model") if isinstance(item, dict) else item if field != "tools" else None
            if isinstance(name, str):
                yield name


def by_client(settings: Settings) -> dict[str, ClientRules]:
    """Returns the rules of the clients that have any."""
    return {
        client.name: ClientRules(client.name, client.models, client.upstreams)
        for client in settings.clients
        if client.models or client.upstreams
    }


def of_one_provider(routes: list[Route], headers: HTTPHeaders, *, is_open: bool) -> list[Route]:
    """The routes that a request may take. routes: in the order of the settings. is_open: there is no [client], so that
    a key is meant for an upstream."""
    if len(routes) < 2 or not is_open:
        return routes
    taking = {route.upstream.name: _service(route) for route in routes if route.upstream.settings.forward_client_key}
    if len(set(taking.values())) < 2 or not keys_of(headers):
        return routes
    meant = next(iter(taking.values()))
    return [route for route in routes if taking.get(route.upstream.name, meant) == meant]


def _service(route: Route) -> str:
    return urlsplit(route.upstream.base_url).netloc
