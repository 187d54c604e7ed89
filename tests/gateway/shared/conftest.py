"""Each test that asks for `stores` runs against every store: in memory, SQLite, Redis and Valkey."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from gateway.shared.memory_store import MemoryStore
from gateway.shared.redis_store import RedisStore
from gateway.shared.sqlite_store import SqliteStore
from gateway.shared.store import Store
from tests.support import redis_server

KINDS = ["memory", "sqlite", *(Path(program).name for program in redis_server.PROGRAMS or ("redis-server",))]

Stores = Callable[[int], AbstractAsyncContextManager[list[Store]]]
"""Opens so many stores that share their state, as so many workers have them."""


@pytest.fixture(scope="session")
def redis_servers() -> Iterator[Callable[[str], redis_server.RedisServer]]:
    """One server of each program, for all tests: each test has a prefix of its own."""
    with contextlib.ExitStack() as stack:
        running: dict[str, redis_server.RedisServer] = {}

        def server(program: str) -> redis_server.RedisServer:
            if program not in running:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="redis-"))
                running[program] = stack.enter_context(redis_server.running(Path(folder), program))
            return running[program]

        yield server


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Any) -> Stores:
    kind: str = request.param
    if kind.endswith("-server") and not redis_server.PROGRAMS:
        pytest.skip(redis_server.NONE)

    @contextlib.asynccontextmanager
    async def opened(count: int) -> AsyncIterator[list[Store]]:
        made: list[Store]
        if kind == "memory":
            made = [MemoryStore()] * count
        elif kind == "sqlite":
            made = [SqliteStore(tmp_path / "shared.sqlite3", patience_s=10) for _ in range(count)]
        else:
            program = next(each for each in redis_server.PROGRAMS if Path(each).name == kind)
            remote = [RedisStore(redis_servers(program).url, tmp_path.name, patience_s=10) for _ in range(count)]
            for each in remote:
                each.start()
            await asyncio.gather(*(each.wait(10) for each in remote))
            made = [*remote]
        try:
            yield made
        finally:
            for store in made:
                store.close()
            await asyncio.sleep(0)

    return opened
