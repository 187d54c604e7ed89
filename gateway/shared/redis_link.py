"""Finds the Redis or Valkey server of [shared] url, and opens a connection that is ready for commands.

redis-py does that: it knows the URL forms, TLS, users and passwords, sentinels and clusters. In a cluster all keys of
the store share one hash tag, so that one of its servers has them all, and a script may use several at once.

    redis://user:password@host:6379/0    rediss://... (TLS)    unix:///run/redis.sock?db=0
    redis+sentinel://user:password@a:26379,b:26379/service/0   rediss+sentinel://...
    redis+cluster://a:6379,b:6379        rediss+cluster://...
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from gateway.shared.redis_clues import explained
from gateway.shared.redis_wire import Wire
from gateway.shared.store import Away

CONNECT_S, EACH_S = 3.0, 0.5  # all of it, and one of several servers that are asked where the right one is
SENTINEL_PORT, PORT = 26379, 6379


class Link:
    """key: one of the store's keys; a cluster finds the server by it."""

    def __init__(self, url: str, key: str) -> None:
        self._parts = urlsplit(url)
        self._url = url
        self.key = key

    def __repr__(self) -> str:
        return f"<Link {self._parts.scheme}>"

    def explained(self, why: Away) -> str:
        """Why the server cannot be used, with what to do."""
        return explained(why, self._url)

    async def connect(self, wire: Wire) -> None:
        """The wire takes over a new connection. Raises Away."""
        connection = None
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await self._connection()
                await connection.connect()
                writer, connection._writer, connection._reader = connection._writer, None, None  # it is ours now
                wire.takes_over(writer)
        except Exception as error:  # redis-py raises an IndexError, too, where a cluster is not ready
            raise Away(explained(error, self._url)) from error
        finally:
            if connection is not None and connection._writer is not None:  # it came to nothing, or is not wanted now
                connection._writer.transport.abort()
                connection._writer = connection._reader = None

    async def _connection(self) -> Any:
        import redis.asyncio as redis

        own = _OWN | {"retry": _no_retry()}
        kind = self._parts.scheme.partition("+")[2]
        options: dict[str, Any]
        if kind == "sentinel":
            host, port = await self._master()
        elif kind == "cluster":
            host, port = await self._node()
        else:
            options = dict(redis.connection.parse_url(self._url))
            connection_class = options.pop("connection_class", redis.Connection)
            return connection_class(**own | options)
        connection_class = redis.SSLConnection if self._parts.scheme.startswith("rediss") else redis.Connection
        return connection_class(**own | self._options() | {"host": host, "port": port})

    async def _master(self) -> tuple[str, int]:
        """The address of the master, by the first sentinel that answers."""
        from redis.asyncio.sentinel import Sentinel

        service, _, _ = self._parts.path.strip("/").partition("/")
        options = self._options()
        sentinels = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types for it
            _hosts(self._parts, SENTINEL_PORT),
            sentinel_kwargs={
                "socket_timeout": EACH_S,
                "socket_connect_timeout": EACH_S,
                "protocol": 2,
                "retry": _no_retry(),
            }
            | {name: value for name, value in options.items() if name.startswith("ssl")},
        )
        try:
            host, port = await sentinels.discover_master(unquote(service))
            return str(host), int(port)
        finally:
            for each in sentinels.sentinels:
                await each.aclose()

    async def _node(self) -> tuple[str, int]:
        """Of the server that has the store's keys."""
        from redis.asyncio.cluster import ClusterNode, RedisCluster

        options = {name: value for name, value in self._options().items() if name != "db"}
        nodes = [ClusterNode(host, port) for host, port in _hosts(self._parts, PORT)]
        if self._parts.scheme.startswith("rediss"):
            options["ssl"] = True
        own = {"protocol": 2, "socket_timeout": EACH_S, "retry": _no_retry(), "require_full_coverage": False}
        cluster = RedisCluster(startup_nodes=nodes, **options | own)
        try:
            await cluster.initialize()
            node = cluster.get_node_from_key(self.key)
            if node is None:
                raise OSError("no server of the cluster has the keys of the store")
            return str(node.host), int(node.port)
        finally:
            await cluster.aclose()

    def _options(self) -> dict[str, Any]:
        """The options in the URL, besides the hosts."""
        from redis.asyncio.connection import parse_url

        parts = self._parts
        options: dict[str, Any] = dict(parse_url(f"redis://?{parts.query}"))
        if parts.username:
            options["username"] = unquote(parts.username)
        if parts.password:
            options["password"] = unquote(parts.password)
        db = parts.path.strip("/").partition("/")[2]
        if db.isdigit():
            options["db"] = int(db)
        return options


def _no_retry() -> Any:
    """It is tried again from here (redis_store.py), with pauses that grow."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Retry(NoBackoff(), 0)


_OWN: dict[str, Any] = {"protocol": 2, "client_name": "anthropic-proxy", "socket_connect_timeout": CONNECT_S}


def _hosts(parts: SplitResult, port: int) -> list[tuple[str, int]]:
    hosts = [urlsplit(f"//{each}") for each in parts.netloc.rpartition("@")[2].split(",")]
    return [(each.hostname or "", each.port or port) for each in hosts]
