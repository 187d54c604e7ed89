"""proxy.py as a program: options, what it prints, exit codes, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEMO = "[server]\nport = 0\n[upstream demo]\nprotocol = messages, chat, responses\nbase_url = demo:\n"


def run(
    *options: str, environ: dict[str, str] | None = None, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """prefix: a command that runs it."""
    return subprocess.run(
        [*prefix, sys.executable, ROOT / "proxy.py", *options],
        env={"PATH": os.environ["PATH"]} | (environ or {}),
        capture_output=True,
        text=True,
        timeout=30,
    )


@contextmanager
def started(
    *options: str, environ: dict[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """(process, base URL, all it printed until it was ready). prefix: a command that runs it."""
    process = subprocess.Popen(
        [*prefix, sys.executable, ROOT / "proxy.py", *options],
        env={"PATH": os.environ["PATH"]} | (environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        found = re.search(r"https?://\S+", said)
        assert found
        yield process, found.group(), said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def ask(url: str, model: str = "demo") -> str:
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        url + "/v1/messages", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return str(json.load(reply)["content"][0]["text"])


def test_the_shipped_settings_start_with_nothing_in_the_environment() -> None:
    with started("--port", "0", "--set", "logging.level=error") as (_, url, said):
        assert "demo" in ask(url, "claude-opus-5-5")
        assert "ANTHROPIC_API_KEY" in said and f"ANTHROPIC_BASE_URL={url}" in said
        assert f'base_url="{url}/v1"' in said and "Only the demo is on" in said


def test_keys_in_the_environment_bring_their_upstreams() -> None:
    environ = {"ANTHROPIC_API_KEY": "sk-ant-secret-secret", "OPENAI_API_KEY": "sk-oai-secret-secret"}
    with started("--port", "0", environ=environ) as (_, _, said):
        assert "https://api.anthropic.com" in said and "https://api.openai.com" in said
        assert "secret" not in said and "Only the demo" not in said


def test_a_taken_port_is_said_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--port", str(taken.getsockname()[1]))
    assert done.returncode == 69 and "another program is using" in done.stderr and "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_that_are_wrong_are_said_in_words(tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text(DEMO + "prot = x\n[sever]\na = b\n")
    for option in ([], ["--check-config"], ["--print-config"]):
        done = run("--config", str(file), *option)
        assert done.returncode == 78 and "prot" in done.stderr and "server" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["--print-config"], ["help"], ["usage"], ["doctor", "demo"]])
def test_a_reader_that_goes_is_no_fault(words: list[str]) -> None:
    """As `| head` and `| grep -q` do. Python writes to a pipe when it ends, or sooner where that is a lot."""
    theirs, ours = os.pipe()
    os.close(theirs)
    with open(ours, "wb") as nobody:
        command = [sys.executable, ROOT / "proxy.py", *words]
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 141 and b"Error" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--print-config"], ["help"], ["usage"], ["doctor", "demo"]])
def test_a_full_disk_is_told_in_words(words: list[str], unbuffered: str) -> None:
    """As with `./run.sh usage --csv > report.csv`."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, ROOT / "proxy.py", *words], stdout=full, stderr=subprocess.PIPE, timeout=30,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 74 and b"Traceback" not in done.stderr
    assert done.stderr.endswith(b"what is printed cannot be written: No space left on device\n")


def test_names_that_a_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text(f"{DEMO}[models]\n日本* = demo\n")
    shown = run("--config", str(file), "--print-config", environ={"PYTHONIOENCODING": "ascii"})
    assert shown.returncode == 0 and "\\u65e5\\u672c* = demo" in shown.stdout, shown.stderr


def test_check_print_version() -> None:
    assert run("--check-config").stdout == "ok\n"
    unwritable = run("--check-config", "--set", "logging.dir=/proc/no/logs").stdout
    assert unwritable.startswith("ok, but [logging] dir: cannot write in /proc/no/logs (")
    assert re.fullmatch(r"anthropic-proxy \d+\.\d+\.\d+ \(commit \w+, CPython .*\)\n", run("--version").stdout)
    done = run("--print-config", "--set", "server.port=1234", environ={"ANTHROPIC_API_KEY": "sk-very-secret-thing"})
    assert done.returncode == 0 and "port = 1234" in done.stdout and "very-secret" not in done.stdout


def test_another_host_needs_a_client() -> None:
    done = run("--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 78 and "[client" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text(DEMO)
    with started("--config", str(file)) as (process, url, _):
        ask(url)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None and process.stderr.read() == ""


def test_logs_hold_a_record_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    logs = tmp_path / "logs"
    key = "client-key-0123456789abcdef"
    file.write_text(DEMO + f"[client me]\nkey = {key}\n[logging]\ndir = {logs}\nrequest_bodies = true\n")
    with started("--config", str(file)) as (process, url, said):
        assert key not in said
        body = {"model": "demo", "max_tokens": 9, "messages": [{"role": "user", "content": f"my key is {key}"}]}
        for headers in ({"x-api-key": key}, {"x-api-key": "wrong"}):
            request = urllib.request.Request(url + "/v1/messages", json.dumps(body).encode(), headers)
            try:
                urllib.request.urlopen(request, timeout=10).close()
            except urllib.error.HTTPError as refused:
                refused.close()
        process.terminate()
        assert process.wait(10) == 0
    written = {path.name: path.read_text("utf-8", "replace") for path in logs.iterdir()}
    assert key not in "".join(written.values())
    done, refused = map(json.loads, written["performance.json"].splitlines())
    assert done["message"] == "HTTP request completed" and done["client"] == "me" and done["status"] == 200
    assert done["gen_ai.usage.output_tokens"] > 0 and done["upstream"] == "demo" and done["total_ms"] > 0
    assert refused["status"] == 401 and json.loads(written["errors.json"])["error"] == "authentication"
    assert "my key is [secret]" in written["requests.json"]


@pytest.mark.parametrize("key", ["usage.file", "batches.file", "responses.owners"])
def test_check_config_tells_of_files_that_cannot_be_written(key: str) -> None:
    section, _, name = key.partition(".")
    said = run("--check-config", "--set", f"{key}=/proc/no/x.db").stdout
    assert said.startswith(f"ok, but [{section}] {name}: cannot write in /proc/no (") and said.count("\n") == 1


def test_check_config_leaves_no_folder_behind(tmp_path: Path) -> None:
    assert run("--check-config", "--set", f"logging.dir={tmp_path}/new/logs").stdout == "ok\n"
    assert not list(tmp_path.iterdir())
