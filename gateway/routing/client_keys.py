"""Where a client's own key may go (forward_client_key): to one provider, and on to no other.

A key is a secret between its owner and the service that gave it out. Of the targets of a model that take clients' keys
the first one named in the settings says which service that is; the others of other services are left out for such a
request, whether they would come first by weight, by failover or by a hedge.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders

from gateway.http.auth import keys_of
from gateway.routing.router import Route


def of_one_provider(routes: list[Route], headers: HTTPHeaders, is_open: bool) -> list[Route]:
    """routes: as the settings name them. is_open: there are no [client]s, so that a key is meant for an upstream."""
    if len(routes) < 2 or not is_open:
        return routes
    taking = {route.peer.name: _service(route) for route in routes if route.peer.settings.forward_client_key}
    if len(set(taking.values())) < 2 or not keys_of(headers):
        return routes
    meant = next(iter(taking.values()))
    return [route for route in routes if taking.get(route.peer.name, meant) == meant]


def _service(route: Route) -> str:
    return urlsplit(route.peer.base_url).netloc
