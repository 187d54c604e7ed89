"""What a client may use: the models and the upstreams that its section in settings.ini names."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from gateway.routing.router import Route
from operate.settings.load import Settings
from translate.errors import ApiError


class ClientRules(NamedTuple):
    """models: patterns; upstreams: names. Empty = all."""

    client: str
    models: tuple[str, ...]
    upstreams: tuple[str, ...]

    def allow(self, upstream: str, *names: str) -> bool:
        """names: those that the model has: what was asked for, and what the upstream calls it."""
        if self.upstreams and upstream not in self.upstreams:
            return False
        known = (*names, *(f"{upstream}/{name}" for name in names))
        return not self.models or any(fnmatchcase(name, pattern) for name in known for pattern in self.models)

    def permitted(self, routes: Iterable[Route], asked_model: str) -> list[Route]:
        """The routes that are left for the client. Raises ApiError (403) where none is."""
        left = [route for route in routes if self.allow(route.upstream.name, asked_model, route.model)]
        if not left:
            what = "models" if not self.upstreams else "upstreams" if not self.models else "models and upstreams"
            raise ApiError(
                "permission",
                f"client '{self.client}' may not use model '{asked_model[:200]}': [client {self.client}] {what} in "
                "settings.ini says what it may use",
            )
        return left


def by_client(settings: Settings) -> dict[str, ClientRules]:
    """Those of the clients that have any."""
    return {
        client.name: ClientRules(client.name, client.models, client.upstreams)
        for client in settings.clients
        if client.models or client.upstreams
    }
