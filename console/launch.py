"""./run.sh claude [...] and ./run.sh codex [...]: a client that talks to this proxy, for this run alone.

The client gets its base URL, key and models by environment and options, so that nothing of the user's configuration is
changed. Where no proxy runs, one is started first and ended with the client. All that follows the command's name goes
to the client as it is. $PROXY_CONFIG names another settings file; $PROXY_KEY says which key to use where the settings
hold only hashes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection  # noqa: TID251 - there is no loop to block
from pathlib import Path
from urllib.parse import urlsplit

from gateway.process.banner import CLAUDE_ASKS, CODEX_ASKS
from operate import tls
from operate.logs.journal import folder_of
from operate.settings import load
from operate.settings.load import Server, Settings, SettingsError

EX_UNAVAILABLE, EX_CONFIG, NOT_FOUND = 69, 78, 127
PATIENCE_S = 5.0  # one question to the proxy; its list of models may wait for upstreams
STARTED_WITHIN_S = 20.0
ENDED_WITHIN_S = 10.0
# What would lead Claude Code past the proxy.
OTHER_WAYS = (
    "ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY",
)  # fmt: skip
MODELS = ("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL")
SMALL_MODEL = "ANTHROPIC_DEFAULT_HAIKU_MODEL"
TRUSTED = ("NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")  # files of certificates that the clients trust besides

Started = tuple[list[str], dict[str, str]]
"""Words and environment."""
CommandFor = Callable[["Proxy", list[str], Mapping[str, str]], Started]


class Unreachable(Exception):
    """No proxy answers; args: why, in words."""


def claude(argv: Sequence[str]) -> int:
    """argv: what Claude Code is given. Its own exit code."""
    return _launch("claude", list(argv), for_claude)


def codex(argv: Sequence[str]) -> int:
    """argv: what Codex is given. Its own exit code."""
    return _launch("codex", list(argv), for_codex)


def _launch(client: str, rest: list[str], command: CommandFor) -> int:
    binary = shutil.which(client)
    if binary is None:
        _say(f"There is no '{client}' on the PATH. Install it: {INSTALL[client]}")
        return NOT_FOUND
    try:
        file = os.environ.get("PROXY_CONFIG")
        with running(load.load(file, []), ["--config", file] if file else []) as proxy:
            words, environment = command(proxy, rest, os.environ)
            return subprocess.call([binary, *words], env=environment)
    except SettingsError as problems:
        _say(problems)
        return EX_CONFIG
    except Unreachable as why:
        _say(why)
        return EX_UNAVAILABLE


# ------------------------------------------------------------------------------------------------- the proxy


class Proxy:
    """The proxy that runs. url: without a final slash. own_key: clients bring a key of their own, which goes on to the
    upstream."""

    def __init__(self, url: str, key: str, *, own_key: bool = False, server: Server | None = None) -> None:
        """server: its settings, where it is this machine's own."""
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
        """The models that it lists. Raises Unreachable."""
        if self._names is None:
            try:
                status, body = self._ask("/v1/models")
                if status != 200:
                    raise Unreachable(f"{self.url}/v1/models answers {status}: {body[:300].decode(errors='replace')}")
                self._names = [str(row["id"]) for row in json.loads(body)["data"]]
            except (OSError, HTTPException, ValueError, KeyError, TypeError) as why:
                raise Unreachable(f"{self.url}/v1/models: {why}") from None
        return self._names

    def serves(self, model: str) -> bool:
        """Does a request for this model go anywhere? Raises Unreachable."""
        try:
            return self._ask(f"/v1/models/{model}")[0] == 200
        except (OSError, HTTPException) as why:
            raise Unreachable(f"{self.url}: {why}") from None

    def instead_of(self, model: str) -> str:
        """"" where the proxy serves the model, else one that it serves: the first that it lists, the demo's last."""
        if self.serves(model):
            return ""
        names = sorted(self.names(), key=lambda name: name.startswith("demo"))
        if not names:
            raise Unreachable(f"{self.url} serves no model: see [models] in settings.ini")
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
    """The proxy that the settings describe, whether it runs or not. Raises Unreachable where no key is known for it."""
    server = settings.server
    url = tls.own_url(server)
    if server.tls_client_ca:
        raise Unreachable("[server] tls_client_ca asks for a certificate of each client: start the client by hand")
    forwards = any(up.enabled and up.forward_client_key for up in settings.upstreams.values())
    own_key = forwards and not settings.clients
    if told := environment.get("PROXY_KEY"):
        return Proxy(url, told, own_key=own_key, server=server)
    clients = sorted(settings.clients, key=lambda client: client.admin)
    plain = [key for client in clients for key in client.plain_keys]
    if settings.clients and not plain:
        raise Unreachable("the settings hold only hashes of keys: say one of the keys in $PROXY_KEY")
    return Proxy(url, plain[0] if plain else "any-key", own_key=own_key, server=server)


@contextlib.contextmanager
def running(settings: Settings, options: list[str]) -> Iterator[Proxy]:
    """The proxy of the settings; started with these options, for as long as this lasts, where none answers. Raises
    Unreachable."""
    proxy = described(settings)
    if proxy.answers():
        yield proxy
        return
    out = folder_of(settings.logging) / "launch.log"
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w") as file:
        # A session of its own: Ctrl-C is for the client.
        process = subprocess.Popen(
            [sys.executable, sys.argv[0], *options], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    try:
        _await(proxy, process, out)
        _say(f"Started the proxy at {proxy.url} for this run; what it says is in {out}.")
        yield proxy
    finally:
        _end(process)


def _await(proxy: Proxy, process: subprocess.Popen[bytes], out: Path) -> None:
    until = time.monotonic() + STARTED_WITHIN_S
    while not proxy.answers():
        if process.poll() is not None or time.monotonic() > until:
            said = "\n  ".join(out.read_text(errors="replace").strip().splitlines()[-8:])
            raise Unreachable(f"the proxy does not start at {proxy.url}:\n  {said}")
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
    """Claude Code. Its own models where the proxy serves them, else another that it lists."""
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
    """Codex, told of the proxy by options, which go before those of its file."""
    told = {
        "model_provider": "proxy",
        "model_providers.proxy.name": "proxy",
        "model_providers.proxy.base_url": f"{proxy.url}/v1",
        "model_providers.proxy.wire_api": "responses",
        "model_providers.proxy.env_key": "PROXY_KEY",
    }
    asks_for_one = any(word in ("-m", "--model") or word.startswith("--model=") for word in rest)
    if not asks_for_one and (other := proxy.instead_of(CODEX_ASKS)):
        told["model"] = other
    options = [word for name, value in told.items() for word in ("-c", f"{name}={json.dumps(value)}")]
    return [*options, *rest], _direct(proxy, environment) | {"PROXY_KEY": proxy.key}


def _direct(proxy: Proxy, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, in which no HTTP proxy stands between the client and this one, and our certificate is known."""
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
