"""The banner, which is printed at the start: where the proxy listens, its upstreams, and a line for each client.

A line to paste works as it is. Claude Code and Codex choose models themselves, so their models are looked up in the
router first: if no upstream would answer, the line names another model or says what to set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.process.mistakes import mistakes
from gateway.routing.router import FAMILIES, Router
from operate import tls
from operate.logs.journal import folder_of
from operate.settings import include
from operate.settings.load import Settings
from translate.target import Protocol

CLAUDE_ASKS = {"big_model": "claude-opus-5-5", "small_model": "claude-haiku-5-5"}  # the names that Claude Code uses
CODEX_ASKS = "gpt-5.1"
HINTS = "CLAUDE_CODE_GATEWAY_HINT_HEADERS=1"
LEAST_SECRET = 8  # letters; shorter ones, such as "none", are no secrets
_INDENT = " " * 17  # as wide as the column of clients' names


def banner(settings: Settings, router: Router, port: int, version: str) -> str:
    """The whole banner, without a final newline. port: the bound one."""
    hosts = settings.server.hosts
    host = (settings.server.tcp_hosts or hosts)[0]
    url = tls.own_url(settings.server, port)
    everywhere = " and on every other address of this machine" if host in ("0.0.0.0", "::") else ""
    everywhere = everywhere or "".join(f" and {each}" for each in hosts if each != host)
    return "\n".join(
        [
            f"anthropic-proxy {version} listens on {url}{everywhere}",
            "",
            *_upstreams(settings),
            *(["", *(f"  {remark}" for remark in found)] if (found := remarks(settings, router)) else []),
            "",
            *(_to_paste(settings, router, url) if settings.server.tcp_hosts else []),
            f"Settings: {settings.file}. Logs: {_logs(settings, '/')}. Ctrl-C ends it.",
        ]
    )


def _to_paste(settings: Settings, router: Router, url: str) -> list[str]:
    lines = (f"  {line}" for line in pasted(settings, router, url))
    return ["Paste one of these:", *lines, "", f"Dashboard: {url}/dashboard"]


def pasted(settings: Settings, router: Router, url: str) -> list[str]:
    """The lines to paste, for all clients. url: of the proxy, without a final slash."""
    return [*_claude_code(settings, router, url), *_sdks(url, _key(settings)), *_codex(settings, router, url)]


def _upstreams(settings: Settings) -> Iterator[str]:
    for upstream in settings.upstreams.values():
        if not upstream.enabled:
            yield f"  {upstream.name:<12} off    {upstream.off_because}"
        elif upstream.is_demo:
            yield f"  {upstream.name:<12} on     built in, answers offline; models demo, demo-slow, demo-429, ..."
        else:
            yield f"  {upstream.name:<12} on     {upstream.base_url} ({', '.join(upstream.protocol)})"


def remarks(settings: Settings, router: Router) -> list[str]:
    """Sentences about settings that a user may not expect."""
    found = []
    if not settings.clients:
        found.append(
            "Without a [client], only this machine is served, and requests that a reverse proxy forwards are refused."
        )
        if settings.server.origins not in ((), ("*",)):
            found.append("[server] origins has no effect: without a [client], requests from web pages are refused.")
    if any(secret in word for secret in settings.secrets() if len(secret) >= LEAST_SECRET for word in sys.argv):
        found.append(
            "A key is on the command line, where every user of this machine can read it: write it into the settings "
            "file, or let --set say '${NAME}' or file:/path."
        )
    if elsewhere := _unchecked(settings, router):
        found.append(
            f"In auto mode, Claude Code asks Anthropic to check its actions; '{elsewhere}' cannot do that. Start it "
            "with --permission-mode default (or acceptEdits); otherwise it shows an error about the gateway."
        )
    if any(term.name == "class" for rule in settings.models if rule.condition for term in rule.condition.terms):
        found.append(
            f"[models] has a condition on class: with {HINTS} in its environment, Claude Code says the class exactly."
        )
    if not router.upstreams:
        found.append("No upstream is on: every request will be refused.")
    elif all(settings.upstreams[name].is_demo for name in router.upstreams):
        found.append(
            "Only the demo is on, and it answers for every model. For real ones, set a key in the environment."
        )
    if any(up.enabled and up.forward_client_key for up in settings.upstreams.values()):
        found.append(
            "forward_client_key has no effect: with a [client], the keys of clients are for the proxy itself."
            if settings.clients
            else "forward_client_key is on: the key of a client is sent to the upstream."
        )
    found += mistakes(settings, router)
    bodies = [word for word in ("request", "response") if getattr(settings.logging, f"{word}_bodies") != "none"]
    if bodies:
        found.append(f"{' and '.join(bodies).capitalize()} bodies are logged, to {_logs(settings, '/requests.json')}.")
    return found


def _logs(settings: Settings, file: str) -> str:
    """Where log lines go. file: what follows the folder."""
    chosen = settings.logging
    return " and ".join(
        [f"{include.short(folder_of(chosen))}{file}"] * chosen.to_files + [chosen.stream] * bool(chosen.stream)
    )


def _unchecked(settings: Settings, router: Router) -> str:
    """The upstream that answers for Claude Code and does not support its auto mode; "" if there is none."""
    if router.why_not(CLAUDE_ASKS["big_model"], "messages"):
        return ""
    upstream = router.routes(CLAUDE_ASKS["big_model"], "messages")[0].upstream
    host = urlsplit(upstream.base_url).hostname or ""
    return "" if host.endswith(".anthropic.com") or settings.upstreams[upstream.name].is_demo else upstream.name


def _forwards(settings: Settings) -> bool:
    return not settings.clients and any(up.enabled and up.forward_client_key for up in settings.upstreams.values())


def _key(settings: Settings) -> str:
    return "KEY-OF-A-CLIENT" if settings.clients else "YOUR-OWN-KEY" if _forwards(settings) else "any-key"


def _claude_code(settings: Settings, router: Router, url: str) -> Iterator[str]:
    """The lines for Claude Code. With ANTHROPIC_AUTH_TOKEN it starts on a new machine; with ANTHROPIC_API_KEY it first
    asks its user. Only a key that is forwarded to Anthropic must be an API key."""
    variable = "ANTHROPIC_API_KEY" if _forwards(settings) else "ANTHROPIC_AUTH_TOKEN"
    command = f"ANTHROPIC_BASE_URL={url} {variable}={_key(settings)} claude"
    unserved = [key for key, name in CLAUDE_ASKS.items() if router.why_not(name, "messages")]
    if not unserved:
        yield f"Claude Code    {command}"
        return
    other = _first(settings, router, "messages")
    if not other:
        yield "Claude Code    needs an upstream, and none is on"
        return
    yield f"Claude Code    {command}" + (f" --model {other}" if "big_model" in unserved else "")
    names = ", ".join(f"*{word}*" for key in unserved for word in FAMILIES[key])
    yield f"{_INDENT}No upstream answers for {names}, which it also asks for. To use another model"
    yield f"{_INDENT}for these:  {_setting(settings, unserved, other)}"


def _setting(settings: Settings, keys: list[str], model: str) -> str:
    """A command that starts the proxy with these keys of [aliases] set, by the environment if the settings file uses
    it."""
    variables = [key.upper() for key in keys]
    origins = " ".join(value.origin for value in settings.values if value.section == "aliases")
    if all(variable in origins for variable in variables):
        return " ".join(f"{variable}={model}" for variable in variables) + " ./run.sh ..."
    return "./run.sh ... " + " ".join(f"--set aliases.{key}={model}" for key in keys)


def _sdks(url: str, key: str) -> Iterator[str]:
    yield f'Anthropic SDK  anthropic.Anthropic(base_url="{url}", api_key="{key}")'
    yield f'OpenAI SDK     openai.OpenAI(base_url="{url}/v1", api_key="{key}")'


def _codex(settings: Settings, router: Router, url: str) -> Iterator[str]:
    other = _first(settings, router, "responses")
    if not other:
        yield "Codex          needs an upstream, and none is on"
        return
    model = f" -m {other}" if router.why_not(CODEX_ASKS, "responses") else ""
    yield f"Codex          PROXY_KEY={_key(settings)} codex{model} -c model_provider=proxy \\"
    yield f"{_INDENT}-c model_providers.proxy.name=proxy -c model_providers.proxy.base_url={url}/v1 \\"
    yield f"{_INDENT}-c model_providers.proxy.wire_api=responses \\"
    yield f'{_INDENT}-c \'model_providers.proxy.auth={{command="printenv",args=["PROXY_KEY"]}}\''


def _first(settings: Settings, router: Router, client: Protocol) -> str:
    """A model that a client of this protocol can use, of the demo only if there is no other; "" if there is none."""
    names = [name for name, upstream in router.upstreams.items() if upstream.protocol_for(client)]
    real = [name for name in names if not settings.upstreams[name].is_demo]
    return f"{real[0]}/MODEL" if real else f"{names[0]}/demo" if names else ""
