"""Codex asks for the models in its own form, and has no model whose metadata is not found."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from operate.settings.errors import SettingsError
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from translate.codex.instructions import INSTRUCTIONS

LISTED = {"data": [{"id": "qwen3", "context_length": 65536, "supported_parameters": ["reasoning"]}, {"id": "gpt-5.5"}]}
PATH = "/v1/models?client_version=0.169.0"
AGENT = {"User-Agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) unknown"}


def settings(up: Upstream, more: str = "", server: str = "") -> str:
    at = f"[upstream s]\nprotocol = chat\nbase_url = {up.url}\n"
    return f"[server]\n{server}\n{at}[models]\nmine = s/x\n* = s\n{more}"


def models(house: House, path: str = PATH, headers: dict[str, str] | None = None) -> dict[str, Any]:
    status, got, raw = house.get(path, headers)
    assert status == 200 and got["content-type"].startswith("application/json")
    return {entry["slug"]: entry for entry in json.loads(raw)["models"]}


def test_codex_gets_its_own_form() -> None:
    with Upstream([Answer.json(LISTED)]) as up, House(settings(up)) as house:
        found = models(house)
        assert found.keys() == {"qwen3", "mine"}, "what Codex brings itself is not in it"
        assert models(house, "/v1/models", AGENT) == found
        assert models(house, "/v1/models/anything?client_version=0.1.0").keys() == {"anything"}
        assert set(json.loads(house.get("/v1/models")[2])) == {"object", "data"}
        assert models(house, "/v1/models/gpt-7?client_version=0.171.0").keys() == {"gpt-7"}
        assert models(house, "/v1/models/gpt-7", AGENT).keys() == {"gpt-7"}
        assert not models(house, "/v1/models/gpt-7?client_version=99.1"), "which a later Codex may bring"
    qwen = found["qwen3"]
    assert qwen["context_window"] == 65536 and qwen["base_instructions"] == INSTRUCTIONS
    assert [level["effort"] for level in qwen["supported_reasoning_levels"]] == ["low", "medium", "high"]


def test_what_the_settings_say_of_a_models_size_counts_listed_or_not() -> None:
    sizes = "[sizes]\nqwen3 = 40000, 4000\nunlisted = 50000, 5000\n"
    with Upstream([Answer.json(LISTED)]) as up, House(settings(up, sizes)) as house:
        assert models(house)["qwen3"]["context_window"] == 40000
        assert models(house, "/v1/models/unlisted?client_version=1")["unlisted"]["context_window"] == 50000


def test_a_client_sees_what_it_may_use() -> None:
    more = "[client a]\nkey = sk-a-sixteen-and-more\nmodels = mine\n"
    key = {"Authorization": "Bearer sk-a-sixteen-and-more"}
    with Upstream([Answer.json(LISTED)]) as up, House(settings(up, more)) as house:
        assert house.get(PATH)[0] == 401
        assert models(house, PATH, key).keys() == {"mine"}
        assert house.get("/v1/models/qwen3?client_version=1", key)[0] in (403, 404)


def test_the_prompt_may_be_the_users_own(tmp_path: Path) -> None:
    """It is read anew each time; a file that has gone, or is empty, is no reason to answer nothing."""
    file = tmp_path / "prompt.md"
    file.write_text("Say little.")
    with Upstream([Answer.json(LISTED)]) as up:
        with House(settings(up, server=f"codex_instructions = {file}")) as house:
            assert models(house)["qwen3"]["base_instructions"] == "Say little."
            file.write_text("Say less.")
            assert models(house)["qwen3"]["base_instructions"] == "Say less."
            for spoil in (lambda: file.write_text(" \n"), file.unlink):
                spoil()
                assert models(house)["qwen3"]["base_instructions"] == INSTRUCTIONS
        with pytest.raises(SettingsError, match=r"codex_instructions.*cannot read"):
            House(settings(up, server=f"codex_instructions = {file}"))


# ------------------------------------------------------------------------------------------- Codex itself

CODEX = shutil.which("codex") or str(Path("~/.cache/proxy-clients/npm/codex/node_modules/.bin/codex").expanduser())
CONFIG = """
model = "qwen3"
model_provider = "proxy"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.proxy]
name = "proxy"
base_url = "{url}/v1"
wire_api = "responses"
[model_providers.proxy.auth]
command = "printenv"
args = ["PROXY_KEY"]
"""


def patching(request: Request) -> Answer:
    """A model that patches a file once, and then is done."""
    if request.method == "GET":
        return Answer.json(LISTED)
    patch = "*** Begin Patch\n*** Add File: hello.txt\n+hi there\n*** End Patch\n"
    call = {"index": 0, "id": "c1", "type": "function",
            "function": {"name": "apply_patch", "arguments": json.dumps({"input": patch})}}  # fmt: skip
    over = any(message["role"] == "tool" for message in request.json["messages"])
    delta: dict[str, Any] = {"content": "done"} if over else {"tool_calls": [call]}
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": "stop" if over else "tool_calls"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "qwen3", "choices": [choice],
             "usage": usage}  # fmt: skip
    return Answer.sse([b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n"])


@pytest.mark.skipif(not Path(CODEX).exists(), reason="not installed: codex (npm install -g @openai/codex)")
def test_codex_itself_finds_the_models(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    (home / ".codex").mkdir(parents=True)
    work.mkdir()
    with Upstream(patching) as up, House(settings(up)) as house:
        (home / ".codex" / "config.toml").write_text(CONFIG.format(url=house.url))
        done = subprocess.run(
            [CODEX, "exec", "--skip-git-repo-check", "--json", "Write hello"], stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "PROXY_KEY": "sk-any"},
            capture_output=True, text=True, timeout=60, check=False, cwd=work,
        )  # fmt: skip
        asked = [request for request in up.requests if request.method == "POST"]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0 and not [line for line in lines if "error" in json.dumps(line)], done.stdout
    assert (work / "hello.txt").read_text() == "hi there\n"
    assert INSTRUCTIONS.strip() in asked[0].json["messages"][0]["content"]
    assert asked[0].json["reasoning_effort"] == "medium"
