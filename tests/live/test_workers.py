"""Several worker processes behind one port: they are started again, stopped together, and share what they keep."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.house import Client, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.waiting import until
from tests.test_proxy import ROOT, started

PATH = "/v1/chat/completions"
ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
SAID = {"role": "assistant", "content": "hello"}
OK = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}]}


class Workers:
    """The program, with so many workers in front of an upstream."""

    def __init__(self, process: subprocess.Popen[str], url: str, file: Path) -> None:
        self.process = process
        self.port = urlsplit(url).port or 0
        self.file = file

    def pids(self) -> list[int]:
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def connect(self) -> Client:
        return Client(self.port)

    def post(self, body: Any, path: str = PATH) -> tuple[int, Any]:
        with self.connect() as client:
            client.send("POST", path, body)
            status, _, data = client.reply()
            return status, json.loads(data)

    def stream(self) -> Client:
        """One that has begun."""
        client = self.connect()
        client.send("POST", PATH, ASKED | {"stream": True})
        assert client.head()[0] == 200
        return client

    def owner(self, client: Client) -> int:
        """The worker that has the connection."""
        mine = f"0100007F:{client.socket.getsockname()[1]:04X}"
        inode = next(
            words[9]
            for words in map(str.split, Path("/proc/net/tcp").read_text().splitlines())
            if words[2] == mine and words[1].endswith(f":{self.port:04X}")
        )
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for entry in Path(f"/proc/{pid}/fd").iterdir():
                    if os.readlink(entry) == f"socket:[{inode}]":
                        return pid
        raise AssertionError("no worker has it")


@contextlib.contextmanager
def workers(
    up: Upstream, folder: Path, count: int = 3, server: str = "", more: str = "", protocol: str = "chat"
) -> Iterator[Workers]:
    """In a session of their own, as a terminal's command has its own process group."""
    file = folder / "s.ini"
    text = one_upstream(up.url, protocol, "", f"port = 0\nworkers = {count}\n{server}")
    file.write_text(f"{text}[logging]\ndir = {folder / 'logs'}\n{more}")
    with started("--config", str(file), prefix=["setsid"], environ={"TMPDIR": str(folder)}) as (process, url, _):
        found = Workers(process, url, file)
        until(lambda: len(found.pids()) == count)
        yield found


def answer(gate: Gate) -> Callable[[Request], Answer]:
    def script(request: Request) -> Answer:
        return Answer.sse([BEGUN, gate, DONE]) if request.json.get("stream") else Answer.json(OK)

    return script


def starts_in(log: Path) -> int:
    return log.read_text().count('"event":"start"')


def test_a_killed_worker_costs_only_its_own_streams(tmp_path: Path) -> None:
    gate = Gate()
    with Upstream(answer(gate)) as up, workers(up, tmp_path) as proxy:
        streams = [proxy.stream() for _ in range(30)]
        owners = [proxy.owner(client) for client in streams]
        victim = max(set(owners), key=owners.count)
        before = set(proxy.pids())
        written = tmp_path / "logs" / "proxy.json"
        until(lambda: written.exists() and starts_in(written) == 3)  # what it has not written is lost
        os.kill(victim, signal.SIGKILL)
        for _ in range(50):
            assert proxy.post(ASKED)[0] == 200
        until(lambda: len(set(proxy.pids()) - {victim}) == 3)
        assert len(set(proxy.pids()) - before) == 1
        gate.open()
        for client, owner in zip(streams, owners, strict=True):
            if owner != victim:
                assert client.body().replace(b": ping\n\n", b"") == BEGUN + DONE
            client.socket.close()
        assert 0 < owners.count(victim) < 30  # else the test has shown nothing
        until(lambda: written.exists() and "is started again" in written.read_text())
        until(lambda: starts_in(written) == 4)
        told = [json.loads(line) for line in written.read_text().splitlines()]
        (ended,) = [line for line in told if line.get("event") == "worker ended"]
        assert ended["level"] == "error" and f"process {victim}" in ended["message"]
        starts = [line for line in told if line.get("event") == "start"]
        assert {line["worker"] for line in starts} == {0, 1, 2} and len(starts) == 4
        with proxy.connect() as client:
            client.send("GET", "/metrics")
            page = client.reply()[2].decode()
        assert sorted(re.findall(r"^proxy_worker_restarts_total\S* (\S+)", page, re.M)) == ["0.0", "0.0", "1.0"]
        proxy.process.terminate()
        code = proxy.process.wait(15)
        assert proxy.process.stderr is not None
        said = proxy.process.stderr.read()
        assert code == 0, said
    assert "signal 9" in said and said.count("\n") == 1


def test_signals_are_passed_on_and_streams_finish(tmp_path: Path) -> None:
    gate = Gate()
    with Upstream(answer(gate)) as up, workers(up, tmp_path, 2, "drain_seconds = 30") as proxy:
        streams = [proxy.stream() for _ in range(10)]
        os.killpg(proxy.process.pid, signal.SIGINT)  # Ctrl-C: to be heard once, not twice
        until(lambda: refused(proxy))
        assert proxy.process.poll() is None
        gate.open()
        for client in streams:
            assert client.body() == BEGUN + DONE
            client.socket.close()
        assert proxy.process.wait(15) == 0


def refused(proxy: Workers) -> bool:
    try:
        proxy.connect().socket.close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it was in the queue of the socket that was just closed: the next one is refused
        return False
    return False


def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    with Upstream(answer(Gate())) as up, workers(up, tmp_path, 2, "drain_seconds = 60") as proxy:
        with proxy.stream() as client:
            pids = proxy.pids()
            proxy.process.terminate()
            until(lambda: refused(proxy))
            proxy.process.terminate()
            assert proxy.process.wait(5) == 130
            until(lambda: not any(map(lives, pids)))
            client.socket.close()


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_do_not_outlive_their_supervisor(tmp_path: Path) -> None:
    with Upstream(answer(Gate())) as up, workers(up, tmp_path, 2) as proxy:
        assert proxy.post(ASKED)[0] == 200
        pids = proxy.pids()
        proxy.process.kill()
        until(lambda: not any(map(lives, pids)))
        assert refused(proxy)


def test_all_of_them_follow_the_file_and_so_does_a_new_one(tmp_path: Path) -> None:
    gate = Gate()
    with Upstream(answer(gate)) as up, workers(up, tmp_path, 2) as proxy:
        proxy.file.write_text(proxy.file.read_text().replace("* = up", "* = up/new"))
        proxy.process.send_signal(signal.SIGHUP)
        until(lambda: all(proxy.post(ASKED)[0] == 200 and up.requests[-1].json["model"] == "new" for _ in range(8)))
        time.sleep(2.5)  # the supervisor's own look at the file; nothing outside shows it
        for pid in proxy.pids():
            os.kill(pid, signal.SIGKILL)
        for _ in range(8):
            assert proxy.post(ASKED)[0] == 200
            assert up.requests[-1].json["model"] == "new"


def test_a_burst_is_shared_by_all_workers(tmp_path: Path) -> None:
    """Connections that have piled up while every worker was busy. Whom the system wakes first is its own affair: a
    machine with other work may let one worker run alone, so that there are some tries."""
    shares = []
    with Upstream(answer(Gate())) as up, workers(up, tmp_path) as proxy:
        assert proxy.post(ASKED)[0] == 200
        pids = proxy.pids()
        for _ in range(6):
            shares.append(of_a_burst(proxy, pids))
            if max(shares[-1]) <= 40:
                return
    pytest.fail(f"never shared: {shares}")


def of_a_burst(proxy: Workers, pids: list[int]) -> list[int]:
    """How many of 60 connections each worker has taken."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    waiting = [proxy.connect() for _ in range(60)]
    for client in waiting:
        client.send("GET", "/healthz")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert all(client.reply()[0] == 200 for client in waiting)
    owners = [proxy.owner(client) for client in waiting]
    for client in waiting:
        client.socket.close()
    return [owners.count(pid) for pid in pids]


CLIENTS = "[client a]\nkey = first-key-0123456789\n[client b]\nkey = second-key-0123456789\n"
A, B = {"x-api-key": "first-key-0123456789"}, {"x-api-key": "second-key-0123456789"}


def ask(client: Client, method: str, path: str, body: Any, key: dict[str, str]) -> tuple[int, Any]:
    client.send(method, path, body, key)
    status, _, data = client.reply()
    return status, json.loads(data)


@contextlib.contextmanager
def one_each(proxy: Workers, count: int) -> Iterator[list[Client]]:
    """Connections to different workers."""
    kept: dict[int, Client] = {}
    for _ in range(300):
        client = proxy.connect()
        if kept.setdefault(proxy_of(proxy, client), client) is not client:
            client.socket.close()
        if len(kept) == count:
            break
    assert len(kept) == count
    yield list(kept.values())
    for client in kept.values():
        client.socket.close()


def test_a_response_is_found_whichever_worker_made_it(tmp_path: Path) -> None:
    with Upstream(answer(Gate())) as up, workers(up, tmp_path, more=CLIENTS) as proxy:
        with one_each(proxy, 3) as (one, two, three):
            status, first = ask(one, "POST", "/v1/responses", {"model": "m", "input": "remember"}, A)
            assert status == 200
            on = {"model": "m", "input": "and now", "previous_response_id": first["id"]}
            assert ask(two, "POST", "/v1/responses", on, B)[0] == 400
            status, second = ask(two, "POST", "/v1/responses", on, A)
            assert status == 200
            assert [m["content"] for m in up.requests[-1].json["messages"]] == ["remember", "hello", "and now"]
            named = [{"type": "item_reference", "id": first["output"][0]["id"]}, {"role": "user", "content": "more"}]
            assert ask(three, "POST", "/v1/responses", {"model": "m", "input": named}, A)[0] == 200
            assert [m["content"] for m in up.requests[-1].json["messages"]] == ["hello", "more"]
            where = f"/v1/responses/{second['id']}"
            assert ask(three, "GET", where, None, B)[0] == 404
            assert ask(three, "GET", where, None, A)[1]["id"] == second["id"]
            assert ask(one, "DELETE", where, None, A)[1]["deleted"]
            for client in (two, three):
                assert ask(client, "GET", where, None, A)[0] == 404


def test_what_an_upstream_keeps_for_one_client_no_worker_gives_to_another(tmp_path: Path) -> None:
    kept = {"id": "resp_of_a", "object": "response", "status": "completed", "output": []}
    with Upstream([Answer.json(kept)]) as up, workers(up, tmp_path, 2, more=CLIENTS, protocol="responses") as proxy:
        with one_each(proxy, 2) as (one, two):
            assert ask(one, "POST", "/v1/responses", {"model": "m", "input": "x"}, A)[0] == 200
            on = {"model": "m", "input": "y", "previous_response_id": "resp_of_a"}
            assert ask(two, "POST", "/v1/responses", on, B)[0] == 400
            assert ask(two, "GET", "/v1/responses/resp_of_a", None, B)[0] == 404
            assert len(up.requests) == 1
            assert ask(two, "POST", "/v1/responses", on, A)[0] == 200


def proxy_of(proxy: Workers, client: Client) -> int:
    client.send("GET", "/healthz")
    assert client.reply()[0] == 200
    return proxy.owner(client)


def test_no_worker_stays_up(tmp_path: Path) -> None:
    """Then neither does the supervisor: whoever started it should know."""
    code = (
        "import sys; from operate import supervisor; supervisor.FIRST_S = 0.01\n"
        "import proxy; proxy._work = lambda *a: 7\n"
        "sys.exit(proxy.main(sys.argv[1:]))"
    )
    file = tmp_path / "s.ini"
    file.write_text(one_upstream("http://127.0.0.1:9", "chat", "", "port = 0\nworkers = 2"))
    done = subprocess.run(
        [sys.executable, "-c", code, "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
    )
    assert done.returncode == 1 and "every worker fails soon after its start" in done.stderr and "code 7" in done.stderr


def test_workers_need_no_folder_to_write_in(tmp_path: Path) -> None:
    """A container whose root cannot be written to has not even /tmp."""
    code = (
        "import tempfile; tempfile.tempdir = '/nonexistent'\n"
        "def none(*args, **more): raise FileNotFoundError('no usable temporary directory')\n"
        "tempfile.mkdtemp = tempfile.mkstemp = tempfile.gettempdir = none\n"
        "import sys, proxy; sys.exit(proxy.main(sys.argv[1:]))"
    )
    file = tmp_path / "s.ini"
    (tmp_path / "logs").write_text("not a folder")
    with Upstream(answer(Gate())) as up:
        text = one_upstream(up.url, "chat", "", "port = 0\nworkers = 2")
        file.write_text(f"{text}[logging]\ndir = {tmp_path / 'logs'}\n")
        process = subprocess.Popen(
            [sys.executable, "-c", code, "--config", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=ROOT, text=True,
        )  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        url = process.stdout.readline().split()[-1]
        port = int(url.rpartition(":")[2])
        with Client(port) as client:
            client.send("POST", "/v1/chat/completions", ASKED)
            assert client.reply()[0] == 200

            def all_are_there() -> bool:
                client.send("GET", "/metrics")
                page = client.reply()[2]
                return b'worker="0"' in page and b'worker="1"' in page

            until(all_are_there)
        process.terminate()
        said = process.communicate(timeout=30)[1]
    assert "Traceback" not in said and 1 <= said.count("log lines go to standard error") <= 2


def test_the_page_of_upstreams_is_about_all_workers(tmp_path: Path) -> None:
    gate = Gate()
    with Upstream(answer(gate)) as up, workers(up, tmp_path) as proxy, contextlib.ExitStack() as opened:
        streams = [opened.enter_context(proxy.stream()) for _ in range(12)]
        while len({proxy.owner(client) for client in streams}) < 2:  # an idle worker may take many
            assert len(streams) < 200
            streams += [opened.enter_context(proxy.stream()) for _ in range(12)]
        count = len(streams)
        for _ in range(5):
            with proxy.connect() as client:
                client.send("GET", "/debug/upstreams")
                told = json.loads(client.reply()[2])
            upstream = told["upstreams"]["up"]
            places = {place["name"]: place for place in upstream["places"]}
            assert (told["workers"], told["busy"], upstream["busy"], places["up/m"]["busy"]) == (3, count, count, count)
            assert len(places) == len(upstream["places"]) and places["up/m"]["breaker"] == "closed"
        gate.open()
        for client in streams:
            client.body()
