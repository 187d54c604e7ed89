"""The base classes of the pages: who may see them, and how they refuse.

A Handler needs a client's key, unless it is `open`. A Shown is a page of JSON for admins. The table of paths is in
endpoints.py.
"""

from __future__ import annotations

from typing import Any

from tornado.web import RequestHandler

from gateway.runtime import Service
from translate import dialects
from translate.dialect import Dialect
from translate.failures import errors
from translate.failures.errors import ApiError
from translate.json import wire


class Handler(RequestHandler):
    """A page. open: it needs no key. client: the name of the client. key: the id of the request."""

    open = False
    client = ""
    key = ""

    def initialize(self, service: Service) -> None:
        self.service = service
        self.key = service.next_key()
        self._name()

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "sandbox")

    def _name(self) -> None:
        """Sets the request's id, in the headers that both families of clients read, and the headers for browsers."""
        self.set_header("request-id", self.key)
        self.set_header("x-request-id", self.key)
        for name, value in self.service.access.origins.told(self.request.headers):
            self.set_header(name, value)

    def compute_etag(self) -> str | None:
        return None

    def prepare(self) -> None:
        if not self.open:
            try:
                self.client = self.service.access.check(self.request.headers)
            except ApiError as error:
                self.refuse(error)

    @property
    def dialect(self) -> Dialect:
        return dialects.asking(self.request.headers, self.request.path)

    def refuse(self, error: ApiError, dialect: Dialect | None = None) -> None:
        spoken = dialect or self.dialect
        self.set_status(spoken.errors.status(error))
        self._name()  # Tornado clears the headers before an error
        says = dialects.errors_at(self.request.path, spoken)
        self.finish(self.service.masked(says(error, self.key)))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if status_code == 405:
            self.refuse(self.of_other_methods())
            return
        error = ApiError(errors.kind_of(status_code), f"{self._reason}: {self.request.method}", status_code)
        if status_code >= 500:
            error.message = "there was an internal error in the proxy; its log has the details"
        self.refuse(error)

    def of_other_methods(self) -> ApiError:
        """The refusal of a method that the page does not have."""
        none = RequestHandler._unimplemented_method
        allowed = [each for each in self.SUPPORTED_METHODS if getattr(type(self), each.lower()) is not none]
        self.set_header("Allow", ", ".join(allowed))
        only = f"only {', '.join(allowed)} {'is' if len(allowed) == 1 else 'are'} served here"
        return ApiError("invalid_request", f"{self.request.method} {self.request.path[:200]}: {only}", 405)


class Shown(Handler):
    """A page of JSON for admins."""

    def prepare(self) -> None:
        try:
            self.service.access.check_admin(self.request.headers, str(self.request.remote_ip))
        except ApiError as error:
            self.refuse(error)

    async def get(self) -> None:
        shown = await self.shown()
        self.set_header("Cache-Control", "no-store")
        self.finish(self.service.masked(wire.dumps(shown)))

    async def shown(self) -> dict[str, Any]:
        raise NotImplementedError
