"""./run.sh claude [...] and ./run.sh codex [...]: start a client that uses this proxy, for this run only.

The client gets its base URL, key and models by environment and options, so that the user's configuration does not
change. If no proxy runs, one is started first, and ended with the client. All words after the command's name are passed
to the client. $PROXY_CONFIG names another settings file. $PROXY_KEY is the key to use, if the settings have only hashes
of keys.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection  # noqa: TID251 - there is no loop to block
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from console import codex_catalogue
from gateway.process.banner import CLAUDE_ASKS, CODEX_ASKS
from operate import tls
from operate.logs.journal import folder_of
from operate.settings import load
from operate.settings.load import Server, Settings, SettingsError

EX_UNAVAILABLE, EX_CONFIG, NOT_FOUND = 69, 78, 127
PATIENCE_S = 5.0  # for one request to the proxy; its list of models may wait for upstreams
STARTED_WITHIN_S = 20.0
ENDED_WITHIN_S = 10.0
# Variables with which Claude Code would not use the proxy.
OTHER_WAYS = (
    "ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY",
)  # fmt: skip
MODELS = ("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL")
SMALL_MODEL = "ANTHROPIC_DEFAULT_HAIKU_MODEL"
# Variables of the clients: files of further certificates to trust.
TRUSTED = ("NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")

Started = tuple[list[str], dict[str, str]]
"""The words of a command line, and its environment."""
CommandFor = Callable[["Proxy", list[str], Mapping[str, str]], Started]


class Unreachable(Exception):
    """Says that no proxy answers; args: a message why."""


def claude(argv: Sequence[str]) -> int:
    """Runs Claude Code with these words, and returns its exit code."""
    return _launch("claude", list(argv), for_claude)


def codex(argv: Sequence[str]) -> int:
    """Runs Codex with these words, and returns its exit code."""
    return _launch("codex", list(argv), for_codex)


def _launch(client: str, rest: list[str], command: CommandFor) -> int:
    binary = shutil.which(client)
    if binary is None:
        _say(f"'{client}' is not on the PATH. To install it: {INSTALL[client]}")
        return NOT_FOUND
    try:
        file = os.environ.get("PROXY_CONFIG")
        with (
            running(load.load(file, []), ["--config", file] if file else []) as proxy,
            tempfile.TemporaryDirectory(prefix="anthropic-proxy-") as folder,
        ):
            words, environment = command(proxy, rest, os.environ)
            if client == "codex":
                words = [*codex_catalogue.options(binary, rest, environment, proxy.catalogue, Path(folder)), *words]
            return subprocess.call([binary, *words], env=environment)
    except SettingsError as problems:
        _say(problems)
        return EX_CONFIG
    except Unreachable as why:
        _say(why)
        return EX_UNAVAILABLE


# ------------------------------------------------------------------------------------------------- the proxy


class Proxy:
    """A proxy that may be running. url: without a final slash. own_key: clients have a key of their own, which is
    forwarded to the upstream."""

    def __init__(self, url: str, key: str, *, own_key: bool = False, server: Server | None = None) -> None:
        """server: its settings, if it runs on this machine."""
        self.url, self.key, self.own_key = url, key, own_key
        self.certificate = server.tls_cert if server else ""
        self._trusted = tls.trusting(server) if server else None
        self._names: list[str] | None = None

    def answers(self) -> bool:
        try:
            return self._ask("/healthz")[0] == 200
        except (OSError, HTTPException):
            return False

    def names(self) -> list[str]:
        """The names of the models that it lists. Raises Unreachable."""
        if self._names is None:
            try:
                status, body = self._ask("/v1/models")
                if status != 200:
                    raise Unreachable(f"{self.url}/v1/models answers {status}: {body[:300].decode(errors='replace')}")
                self._names = [str(row["id"]) for row in json.loads(body)["data"]]
            except (OSError, HTTPException, ValueError, KeyError, TypeError) as why:
                raise Unreachable(f"{self.url}/v1/models: {why}") from None
        return self._names

    def catalogue(self, version: str, model: str) -> list[dict[str, Any]]:
        """The models that it has for a Codex of this version, in Codex' own form; none where it has no such list.
        model: one more, which it may serve without listing it; "" = none."""
        asking = f"client_version={quote(version, safe='')}"
        try:
            found: list[dict[str, Any]] = []
            for path in ("", *([f"/{quote(model)}"] if model else [])):
                status, body = self._ask(f"/v1/models{path}?{asking}")
                found += json.loads(body)["models"] if status == 200 else []
            return list({str(each["slug"]): each for each in reversed(found)}.values())[::-1]
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as why:
            _say(f"{self.url}/v1/models: {why}; Codex gets no list of its models")
            return []

    def serves(self, model: str) -> bool:
        """Whether it has an upstream for this model. Raises Unreachable."""
        try:
            return self._ask(f"/v1/models/{model}")[0] == 200
        except (OSError, HTTPException) as why:
            raise Unreachable(f"{self.url}: {why}") from None

    def instead_of(self, model: str) -> str:
        """Another model to use, the first that the proxy lists and the demo's last; "" if it serves this one."""
        if self.serves(model):
            return ""
        names = sorted(self.names(), key=lambda name: name.startswith("demo"))
        if not names:
            raise Unreachable(f"{self.url} serves no model; see [models] in settings.ini")
        return names[0]

    def _ask(self, path: str) -> tuple[int, bytes]:
        address = urlsplit(self.url)
        host, port = address.hostname or "", address.port
        connection = (
            HTTPSConnection(host, port, timeout=PATIENCE_S, context=self._trusted)
            if address.scheme == "https"
            else HTTPConnection(host, port, timeout=PATIENCE_S)
        )
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.key}"})
            reply = connection.getresponse()
            return reply.status, reply.read()


def described(settings: Settings, environment: Mapping[str, str] = os.environ) -> Proxy:
    """The proxy of the settings, whether it runs or not. Raises Unreachable if no key for it is known."""
    server = settings.server
    url = tls.own_url(server)
    if not server.tcp_hosts:
        raise Unreachable("the proxy listens on a Unix socket alone, which this client cannot use: see [server] host")
    if server.tls_client_ca:
        raise Unreachable(
            "[server] tls_client_ca asks each client for a certificate; start the client by hand, with one"
        )
    forwards = any(up.enabled and up.forward_client_key for up in settings.upstreams.values())
    own_key = forwards and not settings.clients
    if given := environment.get("PROXY_KEY"):
        return Proxy(url, given, own_key=own_key, server=server)
    clients = sorted(settings.clients, key=lambda client: client.admin)
    plain = [key for client in clients for key in client.plain_keys]
    if settings.clients and not plain:
        raise Unreachable("the settings have only hashes of keys; set $PROXY_KEY to the key of a client")
    return Proxy(url, plain[0] if plain else "any-key", own_key=own_key, server=server)


@contextlib.contextmanager
def running(settings: Settings, options: list[str]) -> Iterator[Proxy]:
    """The proxy of the settings. If it does not answer, it is started with these options, and ended after the block.
    Raises Unreachable."""
    proxy = described(settings)
    if proxy.answers():
        yield proxy
        return
    out = folder_of(settings.logging) / "launch.log"
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w") as file:
        # It has a session of its own, so that Ctrl-C reaches only the client.
        process = subprocess.Popen(
            [sys.executable, sys.argv[0], *options], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    try:
        _await(proxy, process, out)
        _say(f"The proxy was started at {proxy.url} for this run; its output is in {out}.")
        yield proxy
    finally:
        _end(process)


def _await(proxy: Proxy, process: subprocess.Popen[bytes], out: Path) -> None:
    until = time.monotonic() + STARTED_WITHIN_S
    while not proxy.answers():
        if process.poll() is not None or time.monotonic() > until:
            said = "\n  ".join(out.read_text(errors="replace").strip().splitlines()[-8:])
            raise Unreachable(f"the proxy could not be started at {proxy.url}; its output:\n  {said}")
        time.sleep(0.05)  # noqa: TID251 - there is no loop to block


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(ENDED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ------------------------------------------------------------------------------------------------- the clients


def for_claude(proxy: Proxy, rest: list[str], environment: Mapping[str, str]) -> Started:
    """The command line for Claude Code: with its own models if the proxy serves them, else with another one."""
    env = _direct(proxy, environment)
    if not proxy.own_key:
        for name in OTHER_WAYS:
            env.pop(name, None)
        env["ANTHROPIC_AUTH_TOKEN"] = proxy.key
    env["ANTHROPIC_BASE_URL"] = proxy.url
    env.setdefault("CLAUDE_CODE_GATEWAY_HINT_HEADERS", "1")
    env.setdefault("CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1")
    if other := proxy.instead_of(CLAUDE_ASKS["big_model"]):
        for name in MODELS:
            env.setdefault(name, other)
    if other := proxy.instead_of(CLAUDE_ASKS["small_model"]):
        env.setdefault(SMALL_MODEL, other)
    return rest, env


def for_codex(proxy: Proxy, rest: list[str], environment: Mapping[str, str]) -> Started:
    """The command line for Codex: options name the proxy, and take precedence over its configuration file."""
    chosen = {
        "model_provider": "proxy",
        "model_providers.proxy.name": "proxy",
        "model_providers.proxy.base_url": f"{proxy.url}/v1",
        "model_providers.proxy.wire_api": "responses",
        "model_providers.proxy.env_key": "PROXY_KEY",
    }
    asks_for_one = any(word in ("-m", "--model") or word.startswith("--model=") for word in rest)
    if not asks_for_one and (other := proxy.instead_of(CODEX_ASKS)):
        chosen["model"] = other
    options = [word for name, value in chosen.items() for word in ("-c", f"{name}={json.dumps(value)}")]
    return [*options, *rest], _direct(proxy, environment) | {"PROXY_KEY": proxy.key}


def _direct(proxy: Proxy, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, changed so that the client uses no HTTP proxy on the way, and trusts the proxy's certificate."""
    host = urlsplit(proxy.url).hostname or ""
    env = dict(environment)
    if proxy.certificate:
        for name in TRUSTED:
            env.setdefault(name, proxy.certificate)
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, (env.get(name, ""), host)))
    return env


def _say(what: object) -> None:
    sys.stderr.write(f"{what}\n")


INSTALL = {"claude": "npm install -g @anthropic-ai/claude-code", "codex": "npm install -g @openai/codex"}
