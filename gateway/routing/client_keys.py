"""Keeps a client's own key (forward_client_key) with one provider.

A key is a secret between its owner and the service that has issued it. That service is the first target of the model,
in the order of the settings, that takes clients' keys. For a request with such a key, the targets of other services
that take clients' keys are left out, also for failover and hedges.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders

from gateway.http.auth import keys_of
from gateway.routing.router import Route


def of_one_provider(routes: list[Route], headers: HTTPHeaders, is_open: bool) -> list[Route]:
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
