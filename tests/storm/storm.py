"""The storm: the proxy as processes, upstreams that misbehave, clients that ask all there is, and what an operator does
meanwhile, in rounds. After each round the proxy must be at rest."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.storm import insides
from tests.storm.books import Books
from tests.storm.clients import World, reply
from tests.storm.kinds import Client
from tests.storm.settings import HOOK, KEYS, SETTINGS
from tests.storm.upstream import Stormy
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import listens, soon

ROOT = Path(__file__).resolve().parents[2]
PROTOCOLS = {"a": "chat", "b": "messages", "c": "responses", "d": "gemini"}
REST_S = 25.0  # the longest until nothing is left of a round
BATCHES_S = 60.0
LOSSES = {"kill", "disk"}  # after these, lines and counts may lack


@dataclass
class Plan:
    """seconds: of a round. share: of requests whose upstream misbehaves. events: what happens meanwhile: reload, hup,
    rotate (a key), cancel (requests), drain (an upstream), redis (restarts), upgrade, kill (a worker), disk (is full:
    the folder must be a small file system of its own)."""

    seed: int
    rounds: int = 3
    seconds: float = 10.0
    clients: int = 20
    workers: int = 1
    share: float = 0.3
    redis: bool = False
    events: tuple[str, ...] = ("reload", "hup", "cancel", "drain")


class Storm:
    """wrong: what must not be. tally: what the clients saw, by kind and verdict."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.wrong: list[str] = []
        self.memory: list[list[int]] = []
        self._plan, self._folder = plan, folder
        self._lot = random.Random(plan.seed)
        self._ups = {
            name: Stormy(protocol, self._lot.randrange(1 << 30), plan.share) for name, protocol in PROTOCOLS.items()
        }
        self._world = World(free_port())
        self._redis = RedisServer(folder, port=free_port()) if plan.redis else None
        self._key, self._turn, self._pid = "a-key-0", 0, 0
        self._replaced: set[int] = set()
        self._metrics = ""

    @property
    def tally(self) -> Counter[str]:
        return self._world.tally

    async def run(self) -> None:
        for up in self._ups.values():
            await up.start()
        self._ups["a"].keys, self._ups["b"].keys = {self._key}, {"b-key-1", "b-key-2"}
        if self._redis is not None:
            self._redis.start()
        (self._folder / "hook.py").write_text(HOOK)
        self._write_settings()
        terminal = self._folder / "terminal"
        try:
            with terminal.open("wb") as said:
                await self._start(said)
                for number in range(self._plan.rounds):
                    await self._round(number)
        finally:
            await self._stop()
        self.wrong += self._world.wrong
        served = [each for up in self._ups.values() for each in up.served]
        books = Books(self._folder / "logs", self._world.said, served)
        if not LOSSES & set(self._plan.events):
            books.check("" if "upgrade" in self._plan.events else self._metrics)
        books.check_logs(terminal.read_text(errors="replace"))
        self.wrong += [f"{kind}: {first}" for kind, first in books.wrong.items()]

    # ------------------------------------------------------------------------------------------ the process

    def _write_settings(self) -> None:
        self._turn += 1
        text = SETTINGS.format(
            port=self._world.port, workers=self._plan.workers, logs=self._folder / "logs", key=self._key,
            hook=self._folder / "hook.py", redis=self._redis.url if self._redis is not None else "",
            concurrent=self._lot.choice((30, 40, 60)), budget=0.5 + self._turn % 2,
            **{name: up.url for name, up in self._ups.items()},
        )  # fmt: skip
        part = self._folder / "storm.part"
        part.write_text(text)
        part.rename(self._folder / "storm.ini")

    async def _start(self, said: Any) -> None:
        proxy = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "proxy.py"), "--config", str(self._folder / "storm.ini"),
            env=insides.prepare(self._folder), stdout=said, stderr=said,
        )  # fmt: skip
        self._pid = proxy.pid
        await soon(lambda: listens(self._world.port), every_s=0.05)
        await soon(lambda: len(self._started()) == self._plan.workers, every_s=0.05)

    def _started(self) -> list[int]:
        """The processes that have begun to serve, by the log, the latest last."""
        file = self._folder / "logs/proxy.json"
        lines = map(json.loads, file.read_text().splitlines() if file.exists() else ())
        return [line["pid"] for line in lines if line.get("event") == "start"]

    async def _stop(self) -> None:
        """Ends the proxy, and what is left of it if it was replaced."""
        if insides.is_alive(self._pid):
            os.kill(self._pid, signal.SIGTERM)
            try:
                await soon(lambda: not insides.is_alive(self._pid), 20)
            except AssertionError:
                self.wrong.append("the proxy does not end")
                os.kill(self._pid, signal.SIGKILL)
        else:
            self.wrong.append("the proxy has ended")
        for pid in self._replaced:
            if insides.is_alive(pid):
                os.kill(pid, signal.SIGTERM)
        if self._redis is not None:
            self._redis.stop()
        for up in self._ups.values():
            up.stop()

    def _pids(self) -> list[int]:
        return insides.children(self._pid) if self._plan.workers > 1 else [self._pid]

    # --------------------------------------------------------------------------------------------- a round

    async def _round(self, number: int) -> None:
        plan, loop = self._plan, asyncio.get_running_loop()
        until = loop.time() + plan.seconds
        clients = [Client(n + number * 100, self._world, self._lot.randrange(1 << 30)) for n in range(plan.clients)]
        events = [asyncio.ensure_future(self._event(name)) for name in plan.events]
        await asyncio.gather(*(client.run(until) for client in clients))
        await asyncio.gather(*events)
        await self._batches()
        try:
            await soon(lambda: not self._held(), REST_S, every_s=0.5)
        except AssertionError:
            self.wrong.append(f"held after round {number}: {self._held()}")
        self.memory.append([insides.resident_mb(pid) for pid in self._pids()])
        self._metrics = (await self._page("GET", "/metrics"))[1].decode()
        print(
            f"  round {number}: {self.tally.total()} so far, {len(self._world.wrong)} wrong, {self.memory[-1]} MB",
            flush=True,
        )

    def _held(self) -> list[dict[str, Any]]:
        """What processes hold that should hold nothing."""
        told = [insides.of(self._folder, pid) for pid in self._pids()]
        return [each for each in told if not each or any(each.get(name) for name in insides.REST)]

    async def _batches(self) -> None:
        """Each batch ends, and has one result for each of its requests."""
        loop = asyncio.get_running_loop()
        until = loop.time() + BATCHES_S
        while self._world.batches and loop.time() < until:
            self._world.batches = [each for each in self._world.batches if not await self._is_over(*each)]
            await asyncio.sleep(0.5)
        self.wrong += [f"batch without an end: {each}" for each in self._world.batches]

    async def _is_over(self, name: str, client: str, marks: list[str]) -> bool:
        status, raw = await self._page("GET", f"/v1/messages/batches/{name}", client)
        if status == 404 and self._redis is not None:
            return True  # this server forgets all when it is restarted
        if status != 200 or json.loads(raw)["processing_status"] != "ended":
            return False
        status, raw = await self._page("GET", f"/v1/messages/batches/{name}/results", client)
        if status == 200:
            rows = {row["custom_id"]: row["result"] for row in map(json.loads, raw.splitlines())}
            lacking = [
                mark for mark, result in rows.items() if result["type"] == "succeeded" and mark not in str(result)
            ]
            if sorted(rows) != sorted(marks) or lacking:
                self.wrong.append(f"batch {name}: {marks} came as {rows}"[:900])
        return status == 200

    async def _page(self, method: str, path: str, client: str = "ann") -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._world.port, limit=1 << 24)
        lines = (
            f"Host: localhost\r\nAuthorization: Bearer {KEYS[client]}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}".encode())
        status, _, raw = await reply(reader)
        writer.close()
        return status, raw

    # --------------------------------------------------------------------------------- what happens meanwhile

    async def _event(self, name: str) -> None:
        for _ in range(self._lot.choice((1, 2))):
            await asyncio.sleep(self._lot.random() * self._plan.seconds * 0.4)
            await getattr(self, f"_does_{name}")()

    async def _does_reload(self) -> None:
        self._write_settings()

    async def _does_hup(self) -> None:
        os.kill(self._pid, signal.SIGHUP)

    async def _does_rotate(self) -> None:
        self._key = f"a-key-{self._turn}"
        self._ups["a"].keys.add(self._key)
        self._write_settings()
        await asyncio.sleep(3)
        self._ups["a"].keys = {self._key}

    async def _does_cancel(self) -> None:
        for _ in range(10):
            _, raw = await self._page("GET", "/dashboard/data/running")
            if rows := json.loads(raw).get("running"):
                await self._page("POST", f"/dashboard/cancel/{self._lot.choice(rows)['id']}")
            await asyncio.sleep(0.1)

    async def _does_drain(self) -> None:
        name = self._lot.choice("abc")
        await self._page("POST", f"/dashboard/drain/{name}")
        await asyncio.sleep(1.5)
        await self._page("POST", f"/dashboard/undrain/{name}")

    async def _does_redis(self) -> None:
        assert self._redis is not None
        self._redis.stop()
        await asyncio.sleep(self._lot.random() * 2)
        self._redis.start()

    async def _does_disk(self) -> None:
        filler = self._folder / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        await asyncio.sleep(2.5)
        filler.unlink()

    async def _does_kill(self) -> None:
        self._world.lossy = True
        os.kill(self._pids()[0], signal.SIGKILL)
        await asyncio.sleep(1)

    async def _does_upgrade(self) -> None:
        """By the log it is seen which process serves in the place of the old ones."""
        before = len(self._started())
        os.kill(self._pid, signal.SIGUSR2)
        await soon(lambda: len(self._started()) >= before + self._plan.workers, 20, every_s=0.1)
        await asyncio.sleep(2)
        self._replaced.add(self._pid)
        self._pid = self._started()[-1] if self._plan.workers == 1 else insides.parent(self._started()[-1])
