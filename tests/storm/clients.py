"""What a client of the storm is: it sends requests over a connection of its own, and judges what comes back.

right: the whole answer, with the question's own mark and no other. honest: an error of the client's protocol, by its
status or as a stream's event. garbled: rubbish of an upstream of the client's own protocol, which passes through.
Anything else is wrong.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conformance import grammar
from tests.chaos.clients import FINISHED
from tests.chaos.upstream import MARK, PIECES
from tests.storm.settings import KEYS, MODELS

PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
IDLE_S = 5.0  # an older connection may be closed by the proxy just now
NUMBERS = itertools.count(1)
CHECKS: dict[str, Callable[[bytes], list[str]]] = {
    "messages": lambda raw: grammar.check_messages(raw, False), "chat": lambda raw: grammar.check_chat(raw, False),
    "responses": grammar.check_responses, "gemini": lambda raw: grammar.check_gemini(raw, False),
}  # fmt: skip
FAILED = {"messages": b'"type":"error"', "chat": b'"error"', "responses": b'"response.failed"', "gemini": b'"error"'}
THEIRS = ("usage: ", "framing: a comment")  # what upstreams of the client's own protocol may lack, or add


@dataclass
class Said:
    """What a client knows of one request. tag: its own, which its record has. mark: of its question. status: 0 = none
    has come. verdict: "" = it has left before."""

    tag: str
    client: str
    kind: str
    protocol: str
    stream: bool
    mark: str
    status: int = 0
    verdict: str = ""
    request_id: str = ""


@dataclass
class World:
    """What all clients share. lossy: connections may be lost, since a process was killed."""

    port: int
    said: list[Said] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    batches: list[tuple[str, str, list[str]]] = field(default_factory=list)
    lossy: bool = False


class Asking:
    """One connection, and the requests on it."""

    def __init__(self, number: int, world: World, seed: int) -> None:
        self._world, self._lot = world, random.Random(seed)
        self._name = f"{number:x}"
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0
        self._last: Said | None = None

    def _wrong(self, what: str) -> None:
        self._world.wrong.append(f"{what} {self._last}"[:900])

    def _new(self, kind: str, protocol: str = "", stream: bool | None = None, mark: str = "") -> Said:
        number, lot = next(NUMBERS), self._lot
        self._last = said = Said(
            f"t{number}", lot.choice(list(KEYS)), kind, protocol or lot.choice(list(CHECKS)),
            lot.random() < 0.6 if stream is None else stream, mark or f"mark-{self._name}-{number}",
        )  # fmt: skip
        self._world.said.append(said)
        return said

    def _question(self, said: Said, **more: Any) -> tuple[str, bytes]:
        """Returns path and body."""
        model = more.pop("model", "") or self._lot.choice(MODELS)
        if said.protocol == "gemini":
            method = "streamGenerateContent?alt=sse" if said.stream else "generateContent"
            body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": said.mark}]}]}
            return f"/v1beta/models/{model}:{method}", json.dumps(body).encode()
        body = {"model": model, "stream": said.stream}
        body |= {"input": said.mark} if said.protocol == "responses" else messages(said.mark)
        if said.protocol == "messages":
            body["max_tokens"] = 100
        return PATHS[said.protocol], json.dumps(body | more).encode()

    def _bytes(self, said: Said, path: str, body: bytes) -> bytes:
        """The whole request; now and then it is large, or compressed."""
        coding = ""
        if path in PATHS.values() and body.endswith(b"}") and self._lot.random() < 0.05:
            body = body[:-1] + b" " * 120_000 + b"}"
        if self._lot.random() < 0.05:
            body, coding = gzip.compress(body), "Content-Encoding: gzip\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{coding}"
        head += f"Authorization: Bearer {KEYS[said.client]}\r\nX-Proxy-Tags: tag={said.tag}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _connected(
        self, limit: int = 1 << 24, *, anew: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        now = asyncio.get_running_loop().time()
        if anew or now - self._used > IDLE_S:
            self._close()
        self._used = now
        if self._pair is None:
            self._pair = await asyncio.open_connection("127.0.0.1", self._world.port, limit=limit)
        return self._pair

    async def _send(
        self, said: Said, path: str, body: bytes, limit: int = 1 << 24, *, anew: bool = False
    ) -> asyncio.StreamReader:
        reader, writer = await self._connected(limit, anew=anew)
        writer.write(self._bytes(said, path, body))
        return reader

    async def _reply(self, said: Said, reader: asyncio.StreamReader) -> bytes:
        said.status, head, raw = await reply(reader)
        found = re.search(rb"(?i)x-request-id: (\S+)", head)
        said.request_id = found[1].decode() if found else ""
        if b"connection: close" in head.lower():
            self._close()
        return raw

    async def _finish(self, said: Said, reader: asyncio.StreamReader) -> bytes:
        raw = await self._reply(said, reader)
        self._judged(said, judge(said, raw))
        return raw

    def _judged(self, said: Said, verdict: str) -> None:
        said.verdict = verdict
        self._world.tally[f"{said.kind} {verdict.partition(':')[0]}"] += 1
        if verdict.startswith("wrong"):
            self._wrong("")

    async def _leave(self, said: Said, reader: asyncio.StreamReader) -> None:
        """At any moment: before the reply, at its head, or within it."""
        wanted = self._lot.choice((0, 0, 1, 300, 900))
        if wanted:
            await reader.read(wanted)
        else:
            await asyncio.sleep(self._lot.random() ** 3 * 0.5)
        self._left(said)

    def _left(self, said: Said) -> None:
        self._close()
        self._world.tally[f"{said.kind} left"] += 1

    def _close(self) -> None:
        if self._pair is not None:
            self._pair[1].transport.abort()
            self._pair = None


def messages(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def judge(said: Said, raw: bytes) -> str:
    if others := others_in(said, raw):
        return f"wrong: another's mark {others}"
    if said.status != 200:
        return "honest" if _is_error(raw) else f"wrong: {said.status} {raw[:200]!r}"
    whole = raw.count(said.mark.encode()) >= PIECES
    if not said.stream:
        return "right" if whole else f"wrong: pieces missing {raw[:300]!r}"
    if b"{garbage" in raw:
        return "garbled"
    failed = FAILED[said.protocol] in raw.replace(b": ", b":")
    finished = said.protocol in FINISHED and FINISHED[said.protocol] in raw
    problems = [each for each in CHECKS[said.protocol](raw) if not each.startswith(THEIRS)]
    if problems and not failed and not finished:
        return f"wrong: {problems[:2]} in {raw[-300:]!r}"
    return "right" if whole else "honest" if failed else f"wrong: pieces missing {raw[-300:]!r}"


def others_in(said: Said, raw: bytes) -> set[bytes]:
    return set(MARK.findall(raw)) - {said.mark.encode()}


def _is_error(raw: bytes) -> bool:
    try:
        return bool(json.loads(raw).get("error"))
    except (ValueError, AttributeError):
        return False


async def reply(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """(status, head, body)"""
    head = await reader.readuntil(b"\r\n\r\n")
    low, status = head.lower(), int(head.split()[1])
    if b"transfer-encoding: chunked" not in low:
        length = int(low.partition(b"content-length: ")[2].split(b"\r\n")[0])
        return status, head, await reader.readexactly(length)
    parts = []
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        parts.append((await reader.readexactly(size + 2))[:-2])
        if not size:
            return status, head, b"".join(parts)
