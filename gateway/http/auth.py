"""Who may come in: client keys, and the Host and Origin rules that keep web pages out.

Without a [client] only this machine can connect, but a page in its browser can too: by a form or fetch to
localhost (it sends an Origin), or by a DNS name that it points at 127.0.0.1 (it sends that name as Host, see
hosts.py); and a reverse proxy on this machine brings the requests of whoever reaches it. All of them are refused. With
clients, a key is asked for on every endpoint but the probes, in either header, and compared in constant time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tornado.httputil import HTTPHeaders

from gateway.http import forwarded, loop_guard
from gateway.http.hosts import Hosts
from gateway.http.loop_guard import Hops
from gateway.http.origins import Origins, is_of_another_page, refusal
from operate.client_keys import digest, digest_in_settings
from operate.logs.redaction import Redaction
from operate.settings.load import Settings, is_loopback
from translate.failures.errors import ApiError


class Access:
    """Decides who may come in: check(headers) returns the client's name. open: there is no [client], so everybody who
    reaches the port may come in, perhaps with keys of their own. This holds digests of the keys, never the keys.
    redaction: gets the keys of the clients that may come in. The keys of strangers are used for nothing, and
    a stranger must not decide what logs leave out."""

    def __init__(self, settings: Settings, redaction: Redaction, hops: Hops) -> None:
        self._hops = hops
        self.origins = Origins(settings)
        self._redaction = redaction
        self._clients = {digest_in_settings(key): client.name for client in settings.clients for key in client.key}
        self.open = not self._clients  # everybody who reaches the port may come in, perhaps with keys of their own
        self._unknown = {client.name for client in settings.clients if len(client.plain_keys) < len(client.key)}
        self._last_days = {client.name: client.expires for client in settings.clients if client.expires is not None}
        self._admins = {client.name for client in settings.clients if client.admin}
        self.hosts = Hosts(settings)

    def __repr__(self) -> str:
        return f"<Access {len(self._clients)} clients>"

    def check(self, headers: HTTPHeaders, for_admin: bool = False) -> str:
        """Returns the client's name, "" without clients. Raises ApiError (401, 403; 508 for a request that the proxy
        itself has sent). For the same headers (Headers.facts) this is checked once."""
        facts: dict[object, Any] = getattr(headers, "facts", {})
        known: tuple[Access, bool, str, list[str]] | None = facts.get("access")
        if known is None or known[0] is not self or known[1] is not for_admin:
            known = facts["access"] = self, for_admin, *self._checked(headers, for_admin=for_admin)
        _, _, name, secrets = known
        if secrets:
            self._redaction.saw(secrets)
        if name:
            self._check_last_day(name)
        return name

    def _checked(self, headers: HTTPHeaders, *, for_admin: bool) -> tuple[str, list[str]]:
        """Returns the same, and the keys that came along and do not belong to the client alone. Raises ApiError."""
        if loop_guard.HEADER in headers:
            self._hops.check(headers)
        if is_of_another_page(headers) and not self.origins.allow(headers.get("Origin", ""), by_name=for_admin):
            raise refusal(headers.get("Origin", "a link or a picture, without one"))
        if self.hosts.always:
            self.hosts.check(headers.get("Host", "localhost"))
        if self.open:
            if told_by := forwarded.told_by(headers):
                raise ApiError(
                    "permission",
                    f"this request was forwarded by a reverse proxy ({told_by}), and without a [client] section in "
                    "settings.ini only this machine is served; add '[client me]' with a line 'key = ...' of 16 or more "
                    "characters, and send that key.",
                )
            return "", _secrets_of(headers)
        brought = keys_of(headers)
        for key in brought:
            name = self._clients.get(digest(key))  # a digest tells nothing by how long its lookup takes
            if name is not None:
                # The settings may have only the hash of its own key, and its other keys may be valid elsewhere.
                others = len(brought) > 1 or name in self._unknown or not _FURTHER.isdisjoint(headers)
                return name, _secrets_of(headers) if others else []
        if not brought:
            message = "no key: send one as x-api-key, api-key, x-goog-api-key or Authorization: Bearer"
            raise ApiError("authentication", message)
        raise ApiError("authentication", "this key is not that of any [client] in settings.ini")

    def still(self, name: str) -> None:
        """Whether a client that came in earlier might do so now. name: "" without clients. Raises ApiError."""
        if self.open != (name == "") or (name and name not in self._clients.values()):
            raise ApiError("authentication", f"client '{name}' is not in the settings any more")
        self._check_last_day(name)

    def _check_last_day(self, name: str) -> None:
        last = self._last_days.get(name)
        if last is not None and datetime.now(UTC).date() > last:
            message = f"the keys of client '{name}' were valid until {last} ([client {name}] expires)"
            raise ApiError("authentication", message)

    def check_admin(self, headers: HTTPHeaders, address: str) -> str:
        """Does the same for what only an admin may see; without clients, only this machine may. address: the other
        side's."""
        name = self.check(headers, for_admin=True)
        if self.open:
            if not is_loopback(address):
                raise ApiError("permission", "only this machine may ask for that, or a [client] with admin = true")
        elif name not in self._admins:
            raise ApiError("permission", f"client '{name}' is no admin: [client {name}] admin = true makes it one")
        return name


CREDENTIALS = frozenset(("x-api-key", "api-key", "x-goog-api-key", "authorization"))
"""Where `keys_of` looks, in lower case."""


def keys_of(headers: HTTPHeaders) -> list[str]:
    """Returns the keys that a request brings, as x-api-key, api-key, x-goog-api-key or Authorization: Bearer."""
    keys = [key.strip() for name in ("X-Api-Key", "Api-Key", "X-Goog-Api-Key") if (key := headers.get(name))]
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        keys.append(token.strip())
    return keys


def _secrets_of(headers: HTTPHeaders) -> list[str]:
    """Returns the last words of all headers into which clients put keys, valid here or not."""
    names = _KEY_HEADERS.intersection(headers)
    return [words[-1] for name in names for line in headers.get_list(name) if (words := line.split())]


_FURTHER = frozenset(("X-Goog-Api-Key", "Proxy-Authorization"))
_KEY_HEADERS = _FURTHER | {"Authorization", "X-Api-Key", "Api-Key"}
