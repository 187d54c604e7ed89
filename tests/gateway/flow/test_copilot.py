"""GitHub Copilot: what VS Code asks a server that speaks Ollama's form, and Copilot's command line as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.flow.test_gemini import part, scripted, told
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream
from translate.conversation import Text, ToolCall

LISTED = {"data": [
    {"id": "qwen3:8b", "context_length": 65536, "display_name": "Qwen 3", "capabilities": ["completion", "thinking"]},
    {"id": "see", "context_length": 2048, "architecture": {"input_modalities": ["text", "image"]}},
    {"id": "blind", "architecture": {"input_modalities": ["text"]}},
]}  # fmt: skip
LEAST = (0, 6, 4)  # VS Code takes no older version of Ollama
USUAL = 32768  # tokens, where VS Code is not told the context


def answering(request: Request) -> Answer:
    if request.method == "GET":
        return Answer.json(LISTED)
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
        {"index": 0, "delta": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}  # fmt: skip
    return Answer.sse([b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n"])


def known(house: House, model: str) -> dict[str, Any]:
    """What VS Code's Ollama provider makes of /api/show."""
    status, _, raw = house.post("/api/show", {"model": model}, {"Content-Type": "application/json"})
    assert status == 200
    shown = json.loads(raw)
    info = shown["model_info"]
    context = info.get(f"{info['general.architecture']}.context_length") or USUAL
    output = context // 2 if context < 4096 else 4096
    return {"name": info["general.basename"], "input": context - output, "output": output,
            "vision": "vision" in shown["capabilities"], "tools": "tools" in shown["capabilities"]}  # fmt: skip


def test_vs_code_finds_the_models_by_ollamas_form_and_asks_them_by_chats() -> None:
    """The sequence of its requests, with the headers and members that it sends."""
    with Upstream(answering) as up, House(one_upstream(up.url, "chat")) as house:
        version = json.loads(house.get("/api/version")[2])["version"]
        assert tuple(map(int, version.split("."))) >= LEAST
        tags = json.loads(house.get("/api/tags")[2])["models"]
        assert [tag["model"] for tag in tags] == ["qwen3:8b", "see", "blind"]
        found = {tag["model"]: known(house, tag["model"]) for tag in tags}
        assert found == {
            "qwen3:8b": {"name": "Qwen 3", "input": 61440, "output": 4096, "vision": False, "tools": True},
            "see": {"name": "see", "input": 1024, "output": 1024, "vision": True, "tools": True},
            "blind": {"name": "blind", "input": 28672, "output": 4096, "vision": False, "tools": True},
        }
        body = {
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
            "model": "qwen3:8b", "temperature": 0.1, "top_p": 1, "n": 1, "stream": True,
            "stream_options": {"include_usage": True},
            "tools": [{"type": "function", "function": {
                "name": "run_in_terminal", "description": "Runs", "parameters": {"type": "object", "properties": {}}}}],
        }  # fmt: skip
        headers = {"Authorization": "Bearer ", "Content-Type": "application/json", "X-Request-Id": "r-1",
                   "OpenAI-Intent": "conversation-agent", "X-GitHub-Api-Version": "2025-05-01",
                   "X-Interaction-Type": "conversation-agent", "User-Agent": "GitHubCopilotChat/0.42.0"}  # fmt: skip
        status, got, raw = house.post("/v1/chat/completions", body, headers)
        assert status == 200 and got["content-type"].startswith("text/event-stream")
        assert b"Hello." in raw and b'"usage"' in raw and raw.endswith(b"data: [DONE]\n\n")
    assert up.requests[-1].json == body
    assert not {"x-github-api-version", "x-interaction-type"} & up.requests[-1].headers.keys()


def test_what_thinks_says_so_in_ollamas_words() -> None:
    with Upstream(answering) as up, House(one_upstream(up.url, "chat")) as house:
        shown = json.loads(house.post("/api/show", {"model": "qwen3:8b"})[2])
        assert "thinking" in shown["capabilities"]
        assert "thinking" not in json.loads(house.post("/api/show", {"model": "see"})[2])["capabilities"]


COPILOT = os.environ.get("COPILOT_BIN") or shutil.which("copilot") or str(
    Path("~/.cache/proxy-clients/npm/copilot/node_modules/.bin/copilot").expanduser()
)  # fmt: skip
CALLS = told(
    part(ToolCall("call_1", "bash"), '{"command":"echo hello-from-tool","description":"x"}'), reason="tool_calls"
)
SAYS = told(part(Text(""), "That was all."))


@pytest.mark.skipif(not Path(COPILOT).exists(), reason="not installed: copilot (npm install -g @github/copilot)")
@pytest.mark.parametrize(
    ("upstream", "path", "more"),
    [
        ("chat", "/v1", {}),
        ("gemini", "/v1", {"COPILOT_PROVIDER_WIRE_API": "responses"}),
        ("responses", "", {"COPILOT_PROVIDER_TYPE": "anthropic"}),
    ],
)
def test_copilots_command_line(tmp_path: Path, upstream: str, path: str, more: dict[str, str]) -> None:
    with scripted(upstream, CALLS, SAYS) as up, House(one_upstream(up.url, upstream)) as house:
        environment = {
            "PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path), "COPILOT_OFFLINE": "true",
            "COPILOT_PROVIDER_BASE_URL": house.url + path, "COPILOT_PROVIDER_API_KEY": "any", "COPILOT_MODEL": "qwen3",
        } | more  # fmt: skip
        done = subprocess.run(
            [COPILOT, "-p", "Say hello", "--allow-all-tools"], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=90, check=False, cwd=tmp_path,
        )  # fmt: skip
        sent = json.dumps([request.json for request in up.requests if request.method == "POST"])
    assert done.returncode == 0 and "That was all." in done.stdout, done.stdout + done.stderr
    assert "hello-from-tool" in sent and len(up.requests) >= 2
