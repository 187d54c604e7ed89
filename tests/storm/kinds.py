"""What the clients of the storm ask. A kind is a method; how often it comes is in KINDS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import zlib

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from tests.chaos.upstream import PIECES
from tests.storm.clients import NUMBERS, PATHS, Asking, Said, judge, messages, others_in
from tests.storm.settings import KEYS, MODELS

PATIENCE_S = 40.0
KINDS = {"ask": 50, "leaves": 10, "slow": 3, "stopped": 1, "rejoin": 6, "same": 5, "cached": 6, "pipelined": 4,
         "websocket": 5, "chain": 5, "batch": 2, "count": 3, "embed": 5, "half_body": 2, "bad": 3, "page": 2,
         "ollama": 4, "speech": 4}  # fmt: skip
BODIES = (b"", b'{"model":', b"[]", b"\xff\xfe", b'{"model": 3}', b'{"messages": []}')
LAST = ("response.completed", "response.failed", "response.incomplete", "error")


class Client(Asking):
    _until = 0.0

    async def run(self, until: float) -> None:
        loop, self._until = asyncio.get_running_loop(), until
        while loop.time() < until:
            kind = self._lot.choices(list(KINDS), list(KINDS.values()))[0]
            try:
                await asyncio.wait_for(getattr(self, f"_{kind}")(), PATIENCE_S)
            except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as why:
                self._close()
                if not self._world.lossy or isinstance(why, TimeoutError):
                    self._wrong(f"{kind}: {why!r}")
        self._close()

    async def _ask(self) -> None:
        said = self._new("ask")
        await self._finish(said, await self._send(said, *self._question(said)))

    async def _leaves(self) -> None:
        said = self._new("leaves")
        await self._leave(said, await self._send(said, *self._question(said)))

    async def _rejoin(self) -> None:
        """Leaves, and asks the same again over another connection."""
        first = self._new("rejoin first", stream=True)
        path, body = self._question(first)
        await self._leave(first, await self._send(first, path, body))
        await asyncio.sleep(self._lot.random() * 0.3)
        again = self._new("rejoin", first.protocol, True, first.mark)
        again.client = first.client
        await self._finish(again, await self._send(again, path, body))

    async def _same(self) -> None:
        """Several ask the same at once; some leave."""
        protocol, stream = self._lot.choice(list(PATHS)), self._lot.random() < 0.6
        mark, client = f"mark-{self._name}-{next(NUMBERS)}", self._lot.choice(list(KEYS))

        async def one(leaves: bool, wait_s: float) -> None:
            await asyncio.sleep(wait_s)
            own = Client(0, self._world, self._lot.randrange(1 << 30))
            said = own._new("same", protocol, stream, mark)
            said.client = client
            try:
                reader = await own._send(said, *own._question(said, model="s", temperature=0))
                await (own._leave(said, reader) if leaves else own._finish(said, reader))
            finally:
                own._close()

        number = self._lot.choice((2, 3, 6))
        await asyncio.gather(*(one(self._lot.random() < 0.3, self._lot.random() * 0.05) for _ in range(number)))

    async def _cached(self) -> None:
        """One of few questions, over and over again."""
        protocol = self._lot.choice(list(PATHS))
        mark = f"mark-cac{list(PATHS).index(protocol)}e-{self._lot.randrange(20)}"
        said = self._new("cached", protocol, None, mark)
        await self._finish(
            said, await self._send(said, *self._question(said, model=self._lot.choice("st"), temperature=0))
        )

    async def _pipelined(self) -> None:
        reader, writer = await self._connected(anew=True)
        together = [self._new("pipelined") for _ in range(self._lot.choice((2, 3)))]
        writer.write(b"".join(self._bytes(said, *self._question(said)) for said in together))
        for said in together:
            await self._finish(said, reader)
            if self._pair is None:  # this was the last one on this connection
                return
            if self._lot.random() < 0.1:
                self._left(said)
                return

    async def _slow(self) -> None:
        """Takes a stream in small sips, and has enough before its end."""
        said = self._new("slow", stream=True)
        reader = await self._send(said, *self._question(said), 2048, anew=True)
        for _ in range(self._lot.choice((5, 30))):
            with contextlib.suppress(TimeoutError):  # the reply is over, and the connection stays
                await asyncio.wait_for(reader.read(1024), 0.1)
            await asyncio.sleep(0.02)
        self._left(said)

    async def _stopped(self) -> None:
        """Reads nothing at all."""
        said = self._new("stopped", stream=True)
        await self._send(said, *self._question(said), 1024, anew=True)
        assert self._pair is not None
        self._pair[1].transport.pause_reading()  # type: ignore[attr-defined]
        left_s = self._until - asyncio.get_running_loop().time()
        await asyncio.sleep(min(self._lot.choice((1, 7, 11)), max(1.0, left_s)))
        self._left(said)

    async def _half_body(self) -> None:
        said = self._new("half_body")
        _, writer = await self._connected(anew=True)
        writer.write(self._bytes(said, *self._question(said))[: -self._lot.randrange(1, 20)])
        await asyncio.sleep(self._lot.random() * 0.1)
        self._left(said)

    async def _bad(self) -> None:
        said = self._new("bad", self._lot.choice(list(PATHS)), False)
        await self._finish(said, await self._send(said, PATHS[said.protocol], self._lot.choice(BODIES)))
        if said.status != 400:
            self._wrong("a bad request")

    async def _count(self) -> None:
        said = self._new("count", "messages", False)
        await self._reply(said, await self._send(said, "/v1/messages/count_tokens", self._question(said)[1]))
        self._world.tally[f"count {said.status}"] += 1

    async def _page(self) -> None:
        reader, writer = await self._connected(anew=True)
        path = self._lot.choice(("/healthz", "/v1/models", "/debug/upstreams", "/metrics", "/readyz"))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEYS['ann']}\r\n\r\n".encode())
        said = Said("", "ann", "page", "", False, "")
        await self._reply(said, reader)
        self._world.tally[f"page {said.status}"] += 1

    async def _ollama(self) -> None:
        said = self._new("ollama", "chat")
        body = {"model": self._lot.choice(MODELS), "stream": said.stream} | messages(said.mark)
        raw = await self._reply(said, await self._send(said, "/api/chat", json.dumps(body).encode()))
        whole = raw.count(said.mark.encode()) >= PIECES and b'"done":true' in raw.replace(b": ", b":")
        good = not others_in(said, raw)
        honest = b'"error"' in raw
        self._judged(said, "right" if good and whole else "honest" if good and honest else f"wrong: {raw[-300:]!r}")

    async def _embed(self) -> None:
        """Small ones go together with those of others."""
        said = self._new("embed", "chat", False)
        raw = await self._reply(said, await self._send(said, "/v1/embeddings", json.dumps(
            {"model": "e", "input": said.mark}).encode()))  # fmt: skip
        wanted = [float(zlib.crc32(said.mark.encode()) % 1000), 1.0]
        own = said.status == 200 and [each["embedding"] for each in json.loads(raw)["data"]] == [wanted]
        self._judged(said, "right" if own else "honest" if b'"error"' in raw else f"wrong: {raw[:200]!r}")

    async def _speech(self) -> None:
        said = self._new("speech", "chat", False)
        body = json.dumps({"model": "speech", "voice": "v", "input": said.mark}).encode()
        reader = await self._send(said, "/v1/audio/speech", body)
        if self._lot.random() < 0.2:
            await self._leave(said, reader)
            return
        try:
            raw = await self._reply(said, reader)
        except (
            ConnectionError,
            asyncio.IncompleteReadError,
        ):  # its upstream broke off, and there is no other word for it
            self._close()
            self._world.tally["speech cut"] += 1
            return
        whole = raw.count(said.mark.encode()) == PIECES and not others_in(said, raw)
        self._judged(said, "right" if whole else "honest" if b'"error"' in raw else f"wrong: {raw[:100]!r}")

    async def _chain(self) -> None:
        """A response, and another one that builds on it."""
        first = self._new("chain", "responses")
        raw = await self._finish(first, await self._send(first, *self._question(first, model="a")))
        found = re.search(rb'"id": ?"(resp_[^"]+)"', raw)
        if first.verdict == "right" and found:
            second = self._new("chain", "responses")
            second.client = first.client
            question = self._question(second, model="a", previous_response_id=found[1].decode())
            await self._finish(second, await self._send(second, *question))

    async def _batch(self) -> None:
        said = self._new("batch", "messages", False)
        said.client = self._lot.choice(("ann", "bob", "cat"))
        marks = [f"mark-ba-{next(NUMBERS)}" for _ in range(self._lot.choice((1, 3, 6)))]
        params = [{"model": self._lot.choice(MODELS), "max_tokens": 100} | messages(mark) for mark in marks]
        rows = [{"custom_id": mark, "params": each} for mark, each in zip(marks, params, strict=True)]
        raw = await self._reply(
            said, await self._send(said, "/v1/messages/batches", json.dumps({"requests": rows}).encode())
        )
        self._world.tally[f"batch {said.status}"] += 1
        if said.status == 200:
            self._world.batches.append((json.loads(raw)["id"], said.client, marks))

    async def _websocket(self) -> None:
        """A few turns; now and then it leaves in the middle of one."""
        said = self._new("websocket", "responses", True)
        headers = {"Authorization": f"Bearer {KEYS[said.client]}", "X-Proxy-Tags": f"tag={said.tag}"}
        url = f"ws://127.0.0.1:{self._world.port}/v1/responses"
        try:
            socket = await websocket_connect(HTTPRequest(url, headers=headers))
        except HTTPClientError as why:
            self._world.tally[f"websocket {why.code}"] += 1
            return
        try:
            for _ in range(self._lot.choice((1, 2, 3))):
                if not await self._turn(socket, said):
                    return
                said, before = self._new("websocket", "responses", True), said
                said.client, said.tag = before.client, before.tag
        except WebSocketClosedError:  # between two turns, by a proxy that is replaced
            self._world.tally["websocket closed"] += 1
        finally:
            protocol = socket.protocol
            socket.close()
            if protocol is not None:
                protocol._abort()

    async def _turn(self, socket: WebSocketClientConnection, said: Said) -> bool:
        """Whether another one may follow."""
        await socket.write_message(json.dumps({"type": "response.create"} | json.loads(self._question(said)[1])))
        if self._lot.random() < 0.2:
            return False
        came = b""
        while True:
            message = await socket.read_message()
            if message is None:
                if came and not self._world.lossy:
                    self._wrong("websocket: closed within a turn")
                raise WebSocketClosedError
            came += message.encode() if isinstance(message, str) else message
            if b"{garbage" in came:
                self._world.tally["websocket garbled"] += 1
                return False
            if json.loads(message)["type"] in LAST:
                break
        whole = Said(said.tag, "", "", "responses", False, said.mark, 200)
        done = json.loads(message)["type"] == "response.completed"
        self._judged(said, judge(whole, came) if done else "honest")
        return True
