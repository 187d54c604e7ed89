"""./run.sh claude and ./run.sh codex: what the client is given, and that a proxy is there for it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console import codex_catalogue, launch
from console.launch import Proxy, Unreachable
from operate.settings import load
from tests.lessons.street import WHOLE
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

ROOT = Path(launch.__file__).resolve().parents[1]
HELPER = """#!{python}
import json, os, sys, urllib.request
base = os.environ.get("ANTHROPIC_BASE_URL")
told = dict(os.environ)
if base:
    with urllib.request.urlopen(base + "/healthz") as reply:
        told["alive"] = str(reply.status)
if sys.argv[1:] == ["debug", "models", "--bundled"] and "BROUGHT" in told:
    sys.exit(print(told["BROUGHT"]))
if sys.argv[1:] == ["--version"]:
    sys.exit(print("codex-cli 9.8.7"))
catalogue = [word.partition("=")[2] for word in sys.argv if word.startswith("model_catalog_json=")]
told["catalogue"] = open(json.loads(catalogue[0])).read() if catalogue else ""
json.dump({{"words": sys.argv[1:], "environment": told}}, open(os.environ["SEEN"], "w"))
sys.exit(3)
"""


def answer(asked: Request) -> Answer:
    if asked.path.startswith("/v1/models"):
        return Answer.json({"data": [{"id": "qwen3"}]})
    return Answer.json(WHOLE["chat"])


def settings_of(text: str) -> load.Settings:
    return load.read(text, "test.ini", [], {})


@pytest.mark.parametrize("models", ["* = s", "qwen3 = s"])
def test_what_the_clients_are_given(models: str) -> None:
    text = "[upstream s]\nprotocol = chat\nbase_url = {}\n[client a]\nkey = sk-a-sixteen-and-more\n[models]\n" + models
    environment = {
        "ANTHROPIC_API_KEY": "sk-ant-own",
        "CLAUDE_CODE_USE_VERTEX": "1",
        "HOME": "/h",
        "NO_PROXY": "x.example",
    }
    with Upstream(answer) as up, House(text.format(up.url)) as house:
        proxy = Proxy(house.url, "sk-a-sixteen-and-more")
        words, env = launch.for_claude(proxy, ["-p", "hi"], environment)
        assert words == ["-p", "hi"]
        assert env["ANTHROPIC_BASE_URL"] == house.url and env["ANTHROPIC_AUTH_TOKEN"] == "sk-a-sixteen-and-more"
        assert env["HOME"] == "/h" and env["NO_PROXY"] == "x.example,127.0.0.1" and env["no_proxy"] == "127.0.0.1"
        assert not {"ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_VERTEX"} & env.keys()
        other = "" if models.startswith("*") else "qwen3"
        for name in (*launch.MODELS, launch.SMALL_MODEL):
            assert env.get(name, "") == other
        words, env = launch.for_codex(proxy, ["exec", "hi"], environment)
        assert words[-2:] == ["exec", "hi"] and env["PROXY_KEY"] == "sk-a-sixteen-and-more"
        assert f'model_providers.proxy.base_url="{house.url}/v1"' in words
        assert ('model="qwen3"' in words) is bool(other)
        words, _ = launch.for_codex(proxy, ["-m", "mine"], environment)
        assert 'model="qwen3"' not in words


def test_a_refused_key_is_said() -> None:
    text = "[upstream s]\nprotocol = chat\nbase_url = {}\n[client a]\nkey = sk-a-sixteen-and-more\n[models]\nqwen3 = s"
    with Upstream(answer) as up, House(text.format(up.url)) as house:
        with pytest.raises(Unreachable, match="/v1/models answers 401"):
            launch.for_claude(Proxy(house.url, "wrong"), [], {})


PORT_AND_DEMO = """[server]
host = 0.0.0.0
port = 7777
[upstream d]
protocol = messages, chat
base_url = demo:
[models]
* = d
"""
ADMIN = "[client a]\nkey = sk-a-sixteen-and-more\nadmin = true\n"
OTHER = "[client b]\nkey = sk-b-sixteen-and-more\n"


@pytest.mark.parametrize(
    ("clients", "environment", "key"),
    [
        (ADMIN + OTHER, {}, "sk-b-sixteen-and-more"),
        (ADMIN, {}, "sk-a-sixteen-and-more"),
        (OTHER, {"PROXY_KEY": "sk-told"}, "sk-told"),
    ],
)
def test_the_key(clients: str, environment: dict[str, str], key: str) -> None:
    proxy = launch.described(settings_of(PORT_AND_DEMO + clients), environment)
    assert (proxy.url, proxy.key, proxy.own_key) == ("http://127.0.0.1:7777", key, False)


def test_without_clients_any_key_will_do() -> None:
    assert launch.described(settings_of(PORT_AND_DEMO.replace("0.0.0.0", "127.0.0.1")), {}).key == "any-key"


def run(folder: Path, name: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = folder / "bin"
    path.mkdir(exist_ok=True)
    for client in launch.INSTALL:
        (path / client).write_text(HELPER.format(python=sys.executable))
        (path / client).chmod(0o755)
    env = {
        "PATH": str(path),
        "SEEN": str(folder / "seen.json"),
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
    } | environment
    return subprocess.run(
        [sys.executable, ROOT / "proxy.py", name, *words],
        env=env | environment, capture_output=True, text=True, timeout=60, cwd=folder, check=False,
    )  # fmt: skip


SETTINGS = """[server]
port = {port}
[logging]
dir = {logs}
[upstream demo]
protocol = messages, chat, responses
base_url = demo:
[models]
* = demo
"""


def test_a_proxy_is_started_and_ended_with_the_client(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "settings.ini"
    file.write_text(SETTINGS.format(port=port, logs=tmp_path / "logs"))
    found = run(tmp_path, "claude", "-p", "hi", PROXY_CONFIG=str(file))
    assert found.returncode == 3, found.stderr  # the client's own
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["words"] == ["-p", "hi"]
    assert seen["environment"]["alive"] == "200"
    assert seen["environment"]["ANTHROPIC_BASE_URL"].endswith(f":{port}")
    assert "proxy was started" in found.stderr
    assert not Proxy(f"http://127.0.0.1:{port}", "").answers()


BROUGHT = {"models": [{"slug": "gpt-6.1-sol", "base_instructions": "Codex' own"}]}


def test_codex_gets_the_models_that_it_does_not_know(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "settings.ini"
    file.write_text(SETTINGS.format(port=port, logs=tmp_path / "logs"))
    words = ["-m", "unlisted/by-anybody", "exec"]
    found = run(tmp_path, "codex", *words, PROXY_CONFIG=str(file), BROUGHT=json.dumps(BROUGHT))
    assert found.returncode == 3, found.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["words"][-3:] == words
    (given,) = [word for word in seen["words"] if word.startswith("model_catalog_json=")]
    models = json.loads(seen["environment"]["catalogue"])["models"]
    assert models[0] == BROUGHT["models"][0], "what Codex brings is as it was"
    assert {"demo", "unlisted/by-anybody"} <= {model["slug"] for model in models}
    assert not Path(json.loads(given.partition("=")[2])).exists(), "it is gone after the run"


@pytest.mark.parametrize(
    ("brought", "words", "told"),
    [
        (json.dumps(BROUGHT), ["-c", 'model_catalog_json="/dev/null"'], [{"slug": "demo"}]),  # the user's own
        ("an older Codex", ["exec"], [{"slug": "demo"}]),
        ('{"models": 7}', ["exec"], [{"slug": "demo"}]),
        (json.dumps(BROUGHT), ["exec"], [{"slug": "gpt-6.1-sol"}]),
        (json.dumps(BROUGHT), ["exec"], []),
    ],
)
def test_codex_keeps_its_own_catalogue(tmp_path: Path, brought: str, words: list[str], told: list[Any]) -> None:
    binary = tmp_path / "codex"
    binary.write_text(HELPER.format(python=sys.executable))
    binary.chmod(0o755)
    environment = {"BROUGHT": brought, "SEEN": str(tmp_path / "seen.json")}
    assert codex_catalogue.options(str(binary), words, environment, lambda version, model: told, tmp_path) == []
    assert not (tmp_path / "models.json").exists()


def test_no_such_client(tmp_path: Path) -> None:
    env = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, str(ROOT / "proxy.py"), "codex"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == launch.NOT_FOUND and "npm install -g @openai/codex" in found.stderr
