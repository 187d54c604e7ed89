"""Asks hooks about a request before it goes to an upstream, and about the reply before the client has it.

Each hook of the settings may allow, refuse or change; the next hook sees what the one before has made. If there is no
hook, none of this is made, and it costs a request nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from gateway.flow.client_request import ClientRequest
from gateway.hooks import callers
from gateway.hooks.asking import Asking, Count, about
from gateway.hooks.callers import Caller, Failed, Said
from gateway.hooks.held_reply import HeldReply
from gateway.http.response_writer import Writer
from operate.settings.load import Settings
from operate.settings.sections import Hook
from translate.failures.errors import ApiError
from translate.json import wire
from upstream.client import UpstreamClient

log = logging.getLogger("proxy")


class Hooks:
    def __init__(self, asking: Asking, most_bytes: int) -> None:
        """most_bytes: of a reply that is held."""
        self._asking = asking
        self._most = most_bytes

    def __repr__(self) -> str:
        return f"<Hooks {self._asking!r}>"

    def request(self, request: ClientRequest) -> Generator[Awaitable[Any], Any, None]:
        """Asks about a request, whose body may be another one after it. Raises ApiError."""
        for hook, caller in self._asking.of("request", request.asked_model):
            event = about("request", request) | {"body": request.parsed()}
            body = yield self._asking.ask(hook, caller, event, request.key)
            if body is not None:
                request.replace(wire.dumps(body))

    def see_reply(self, request: ClientRequest) -> bool:
        """Whether the reply is shown to one, before its client gets it or after that."""
        return bool(self._asking.of("reply", request.asked_model))

    def held(
        self, writer: Writer, request: ClientRequest, refused: Callable[[ApiError, bool], None],
        is_late: Callable[[], bool], unframed: Callable[[], bytes | None], keep: Callable[[asyncio.Future[None]], None],
    ) -> Writer:  # fmt: skip
        """The writer of a reply that hooks see before the client does, or after it."""
        if not self.see_reply(request):
            return writer
        if request.framed is not None and not request.task:
            request.cached = None  # what is kept has the client's form, which hooks do not read
        return HeldReply(writer, self._asking, request, self._most, refused, is_late, unframed, keep)


class _Broken:
    """Stands for a hook that cannot be asked, so that its `fail` decides."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def ask(self, event: Said) -> Said:
        raise Failed(self._why)


def of_settings(settings: Settings, client: UpstreamClient, most_bytes: int, told: Count) -> Hooks:
    made = [(hook, _caller(hook, client, most_bytes)) for hook in settings.hooks]
    return Hooks(Asking(made, told), most_bytes)


def _caller(hook: Hook, client: UpstreamClient, most_bytes: int) -> Caller:
    try:
        return callers.caller(hook, client, most_bytes)
    except Failed as why:
        log.error("[hook %s] cannot be used: %s", hook.name, why)
        return _Broken(str(why))
