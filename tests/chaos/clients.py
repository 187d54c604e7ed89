"""Clients that ask without a pause, each question with a mark of its own, and judge what comes back.

right: the whole answer, with the question's own mark and no other. honest: an error in the client's protocol, by its
status or as a stream's event. garbled: an upstream of the client's own protocol sent rubbish, which passes through.
Anything else is wrong: another's mark, a piece missing without an error, a body that breaks the protocol, an answer
that never ends.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

from conformance import grammar
from tests.chaos.upstream import MARK, PIECES

PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
CHECK = {"messages": grammar.check_messages, "chat": grammar.check_chat}
PATIENCE_S = 60.0
# What tells that all has been said, where a stream is cut between that and its last event.
FINISHED = {"chat": b'"finish_reason": "stop"', "messages": b'"stop_reason": "end_turn"'}
_FAILED = {"messages": b'"type":"error"', "chat": b'"error"', "responses": b'"response.failed"'}


class Client:
    """One at a time over one connection; now and then it leaves without waiting for the answer."""

    def __init__(self, number: int, port: int, seed: int, tally: Counter[str], wrong: list[str]) -> None:
        self._name = f"{number:x}"
        self._port = port
        self._lot = random.Random(seed)
        self._tally = tally
        self._wrong = wrong
        self._asked = 0
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            self._asked += 1
            protocol, stream = self._lot.choice(list(PATHS)), self._lot.random() < 0.7
            mark = f"mark-{self._name}-{self._asked}"
            try:
                verdict = await asyncio.wait_for(self._ask(protocol, stream, mark), PATIENCE_S)
            except TimeoutError:
                verdict = "wrong: no end"
                self._close()
            except (ConnectionError, asyncio.IncompleteReadError) as why:
                verdict = f"wrong: connection lost ({why!r})"
                self._close()
            self._tally[verdict.split(":")[0]] += 1
            if verdict.startswith("wrong"):
                self._wrong.append(f"{mark} {protocol} {'stream' if stream else 'whole'}: {verdict}")
        self._close()

    async def _ask(self, protocol: str, stream: bool, mark: str) -> str:
        if self._pair is None:
            self._pair = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        reader, writer = self._pair
        body: dict[str, Any] = {"model": self._lot.choice(("m", "n", "o")), "stream": stream}
        body |= {"input": mark} if protocol == "responses" else {"messages": [{"role": "user", "content": mark}]}
        if protocol == "messages":
            body["max_tokens"] = 100
        data = json.dumps(body).encode()
        head = f"POST {PATHS[protocol]} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        if self._lot.random() < 0.05:  # it changes its mind
            await asyncio.sleep(self._lot.random() * 0.1)
            self._close()
            return "left"
        status, raw = await _reply(reader)
        return self._judge(protocol, stream, mark, status, raw)

    def _judge(self, protocol: str, stream: bool, mark: str, status: int, raw: bytes) -> str:
        marks = set(MARK.findall(raw)) - {mark.encode()}
        if marks:
            return f"wrong: another's mark {marks}"
        if status != 200:
            return "honest" if isinstance(json.loads(raw).get("error"), dict) else f"wrong: {raw[:200]!r}"
        if not stream:
            return "right" if raw.count(mark.encode()) >= PIECES else f"wrong: pieces missing {raw[:300]!r}"
        if b"{garbage" in raw:
            return "garbled"  # the upstream's own bytes, passed on as they came
        failed = _FAILED[protocol] in raw.replace(b": ", b":")
        finished = protocol in FINISHED and FINISHED[protocol] in raw
        problems = grammar.check_responses(raw) if protocol == "responses" else CHECK[protocol](raw, False)
        if problems and not failed and not finished:
            return f"wrong: {problems[:2]} in {raw[-300:]!r}"
        if raw.count(mark.encode()) >= PIECES:
            return "right"
        return "honest" if failed else f"wrong: pieces missing {raw[-300:]!r}"

    def _close(self) -> None:
        if self._pair is not None:
            self._pair[1].transport.abort()
            self._pair = None


async def _reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split()[1])
    if b"transfer-encoding: chunked" not in head:
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        return status, await reader.readexactly(length)
    parts = []
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        parts.append((await reader.readexactly(size + 2))[:-2])
        if not size:
            return status, b"".join(parts)
