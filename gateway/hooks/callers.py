"""How a hook is asked: a service by its URL, or a function of a Python file. Both get an object and give one."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from operate.settings.sections import Hook
from translate import wire
from upstream.client import UpstreamClient
from upstream.request import Request, Timeouts
from upstream.small_reply import SmallReplySink

log = logging.getLogger("proxy")

Said = dict[str, Any]


class Failed(Exception):
    """A hook gave no answer that can be used; args: why."""


class Caller(Interface):
    async def ask(self, event: Said) -> Said:
        """Returns the hook's answer, {} where it says nothing. Raises Failed."""


class Url:
    """A service: the event is the body of a POST, the answer is JSON, or empty."""

    def __init__(self, hook: Hook, client: UpstreamClient, most_bytes: int) -> None:
        self._hook = hook
        self._client = client
        self._most = most_bytes
        self._lines = ["content-type: application/json", "accept: application/json"]
        self._lines += [f"{each.name}: {each.value}" for each in hook.headers]

    async def ask(self, event: Said) -> Said:
        sink = SmallReplySink(self._most + 1)
        seconds = self._hook.timeout
        timeouts = Timeouts(connect=seconds, first_byte=seconds, idle=seconds, total=seconds)
        exchange = self._client.send(Request("POST", self._hook.url, self._lines, wire.dumps(event), timeouts), sink)
        try:
            reply = await sink.done
        finally:
            exchange.cancel()
        if reply.failure is not None:
            raise Failed(reply.failure.message)
        if reply.status == 204 or (reply.status == 200 and not reply.body.strip()):
            return {}
        if reply.status != 200 or len(reply.body) > self._most:
            raise Failed(f"it answered {reply.status}, with {len(reply.body)} bytes")
        try:
            said = wire.loads(reply.body)
        except ValueError:
            raise Failed("its answer is no JSON") from None
        return _checked(said)


class Python:
    """A file with the functions `request(event)` and `reply(event)`, either or both. They may be async; others run in
    a thread, so that they hold nobody up. A function that takes longer than its time goes on, but is not waited for."""

    def __init__(self, hook: Hook) -> None:
        """Raises Failed if the file cannot be loaded."""
        self._hook = hook
        try:
            self._module = _loaded(Path(hook.python))
        except Exception as why:  # the file may do anything
            raise Failed(f"{hook.python}: {why!r}") from why
        self._functions: dict[str, Callable[[Said], Any]] = {
            name: found for name in ("request", "reply") if callable(found := getattr(self._module, name, None))
        }

    async def ask(self, event: Said) -> Said:
        function = self._functions.get(event["event"])
        if function is None:
            return {}
        try:
            async with asyncio.timeout(self._hook.timeout):
                if inspect.iscoroutinefunction(function):
                    said = await function(event)
                else:
                    said = await asyncio.get_running_loop().run_in_executor(None, function, event)
        except TimeoutError:
            raise Failed(f"it took longer than {self._hook.timeout:g} s") from None
        except Exception as why:  # a mistake in it is its own
            log.exception("[hook %s] failed", self._hook.name)
            raise Failed(repr(why)) from None
        return _checked({} if said is None else said)


def caller(hook: Hook, client: UpstreamClient, most_bytes: int) -> Caller:
    """Raises Failed."""
    return Python(hook) if hook.python else Url(hook, client, most_bytes)


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"proxy_hook_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _checked(said: Any) -> Said:
    """Raises Failed for what is no answer."""
    if not isinstance(said, dict):
        raise Failed("its answer is no object")
    action = said.get("action", "allow")
    if action not in ("allow", "refuse", "change"):
        raise Failed("its action is none of allow, refuse and change")
    if action == "change" and not isinstance(said.get("body"), dict):
        raise Failed("it wants to change the body, and has no object 'body'")
    return said
