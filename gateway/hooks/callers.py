"""How a hook is asked: a service by its URL, or a function of a Python file. Both get an object and give one."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import logging
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from operate.settings.sections import Hook
from translate.json import wire
from upstream.client import UpstreamClient
from upstream.request import Request, Timeouts
from upstream.small_reply import SmallReplySink

log = logging.getLogger("proxy")

AT_ONCE = 16  # calls of one hook's functions that run in threads

Said = dict[str, Any]


class Failed(Exception):
    """A hook gave no answer that can be used; args: why."""


class Caller(Interface):
    async def ask(self, event: Said) -> Said:
        """Returns the hook's answer, {} if it says nothing. Raises Failed."""


class Url:
    """A service: the event is the body of a POST, and the answer is JSON, or empty."""

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
    """A file with the functions `request(event)` and `reply(event)`, one of them or both. They may be async; others run
    in threads of the hook's own, so that they delay nobody. A function that takes longer than its time goes on, but
    nobody waits for it, also not when the proxy ends; while too many go on, no further one is begun. A function gets a
    copy, which it may keep and change."""

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
        self._free = asyncio.Semaphore(AT_ONCE)

    async def ask(self, event: Said) -> Said:
        function = self._functions.get(event["event"])
        if function is None:
            return {}
        try:
            async with asyncio.timeout(self._hook.timeout):
                if inspect.iscoroutinefunction(function):
                    said = _plain(await function(_plain(event)))
                else:
                    await self._free.acquire()
                    said = await _beside(lambda: _plain(function(_plain(event))), self._free.release)
        except TimeoutError:
            raise Failed(f"it took longer than {self._hook.timeout:g} s") from None
        except Exception as why:  # the error is the file's own, and its words may quote a prompt
            where = "".join(traceback.format_tb(why.__traceback__))
            log.error("[hook %s] failed with %s\n%s", self._hook.name, type(why).__name__, where)
            raise Failed(f"it failed with {type(why).__name__}") from None
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


def _plain(value: Any) -> Any:
    """Returns a copy that is JSON and nothing else. Raises TypeError, ValueError, OverflowError."""
    return wire.loads(wire.dumps(value))


async def _beside(call: Callable[[], Any], over: Callable[[], None]) -> Any:
    """Runs the call in a thread for which nobody waits at the end of the process. over: is called when it is done,
    however long that takes."""
    loop = asyncio.get_running_loop()
    given: asyncio.Future[Any] = loop.create_future()

    def settle(said: Any, why: BaseException | None) -> None:
        over()
        if given.done():
            return
        if why is not None:
            given.set_exception(why)
        else:
            given.set_result(said)

    def run() -> None:
        said, fault = None, None
        try:
            said = call()
        except Exception as why:
            fault = why
        except BaseException as why:  # such as SystemExit, which would end this thread alone
            fault = RuntimeError(type(why).__name__)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, said, fault)

    threading.Thread(target=run, name="hook", daemon=True).start()
    return await given


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
