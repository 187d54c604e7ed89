"""POST /debug/translate: what would be sent, what would be dropped, a line to repeat it; and who may ask."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import pytest

from tests.support import lacking
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate.reasoning import sealed_reasoning

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "it's $HOME"}]}
NOWHERE = "http://127.0.0.1:9"
KEYS = "[client boss]\nkey = boss-boss-boss-boss\nadmin = true\n[client other]\nkey = other-other-other\n"


def dry_run(house: House, ask: Any, query: str = "", key: str = "") -> tuple[int, Any]:
    headers = {"x-api-key": key} if key else {}
    status, _, body = house.post("/debug/translate" + query, ask, headers)
    return status, json.loads(body)


def test_original_and_translated_side_by_side() -> None:
    ask = ASK | {"system": "be brief", "top_k": 5, "strange": 1}
    with House(one_upstream(NOWHERE, "chat", "api_key = sk-very-secret-key\n")) as house:
        status, shown = dry_run(house, ask)
        assert status == 200 and shown["original"] == ask
        assert (shown["from"], shown["to"], shown["upstream"]) == ("messages", "chat", "up")
        assert shown["translated"]["messages"][0] == {"role": "system", "content": "be brief"}
        assert shown["dropped"].keys() == {"top_k", "strange"} and "top_p" in shown["dropped"]["top_k"]
        assert shown["learned"] == []
        assert "sk-very-secret-key" not in json.dumps(shown)
        assert '-H "authorization: Bearer $API_KEY"' in shown["curl"]


@lacking.program("curl")
def test_the_curl_line_sends_what_is_shown() -> None:
    with Upstream([Answer.json({})]) as up, House(one_upstream(up.url, "messages", "api_key = sk-01234567\n")) as house:
        _, shown = dry_run(house, {"model": "m", "messages": ASK["messages"]}, "?from=chat&to=messages")
        words = shlex.split(shown["curl"])
        assert words[0] == "curl" and up.url + "/v1/messages" in words
        assert json.loads(words[words.index("--data-binary") + 1]) == shown["translated"]
        subprocess.run(["sh", "-c", shown["curl"]], env={"API_KEY": "mine", "PATH": "/usr/bin:/bin"}, timeout=20)
        assert up.requests[0].json == shown["translated"] and up.requests[0].headers["x-api-key"] == "mine"


@pytest.mark.parametrize(
    ("ask", "headers", "wanted"),
    [
        (ASK, {}, "chat"),
        (ASK, {"anthropic-version": "2023-06-01"}, "messages"),
        (ASK | {"tools": [{"name": "f", "input_schema": {}}]}, {}, "messages"),
        ({"model": "m", "input": "x"}, {}, "responses"),
    ],
)
def test_the_protocol_is_guessed(ask: Any, headers: dict[str, str], wanted: str) -> None:
    with House(one_upstream(NOWHERE, "chat, messages, responses")) as house:
        shown = json.loads(house.post("/debug/translate", ask, headers)[2])
        assert (shown["from"], shown["to"], shown["dropped"]) == (wanted, wanted, {})
        assert shown["translated"] == ask


@pytest.mark.parametrize("to", ["chat", "messages", "responses"])
def test_any_protocol_may_be_tried(to: str) -> None:
    with House(one_upstream(NOWHERE, "chat")) as house:
        status, shown = dry_run(house, ASK | {"system": "x"}, f"?to={to}")
        field = {"responses": "input"}.get(to, "messages")
        assert status == 200 and shown["to"] == to and field in shown["translated"]
        endpoint = {"chat": "/chat/completions", "messages": "/messages", "responses": "/responses"}[to]
        assert f"{NOWHERE}/v1{endpoint} " in shown["curl"]


@pytest.mark.parametrize(
    ("ask", "query", "status", "word"),
    [
        (ASK | {"system": 5}, "", 400, "system"),
        ({"messages": []}, "", 400, "model"),
        (ASK, "?to=xml", 400, "xml"),
        (b"{nonsense", "", 400, "JSON"),
        (b"[]", "", 400, ""),
    ],
)
def test_what_would_be_refused_is_refused(ask: Any, query: str, status: int, word: str) -> None:
    with House(one_upstream(NOWHERE, "chat")) as house:
        got, shown = dry_run(house, ask, query)
        assert got == status and word in json.dumps(shown["error"])


def test_only_an_admin_may_ask() -> None:
    with House(one_upstream(NOWHERE, "chat") + KEYS) as house:
        assert dry_run(house, ASK)[0] == 401
        status, shown = dry_run(house, ASK, key="other-other-other")
        assert status == 403 and "admin = true" in shown["error"]["message"]
        assert dry_run(house, ASK, key="boss-boss-boss-boss")[0] == 200
        assert house.get("/debug/translate")[0] in (401, 404, 405)


def test_a_page_in_a_browser_may_not_ask_and_a_body_is_bounded() -> None:
    with House(one_upstream(NOWHERE, "chat", server="max_body_mb = 1")) as house:
        assert house.post("/debug/translate", ASK, {"Origin": "https://evil.example"})[0] == 403
        assert house.post("/debug/translate", ASK, {"Host": "evil.example"})[0] == 403
        assert house.post("/debug/translate", b" " * (1 << 20) + b"{}")[0] == 413
        assert dry_run(house, ASK)[0] == 200


def test_what_passes_untouched_is_shown_as_it_is_sent() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": sealed_reasoning.EMPTY}
    history = [*ASK["messages"], {"role": "assistant", "content": [thought, {"type": "text", "text": "yes"}]}]
    with House(one_upstream(NOWHERE, "messages")) as house:
        _, shown = dry_run(house, ASK | {"messages": [*history, *ASK["messages"]]}, "?from=messages")
    assert shown["translated"]["messages"][1]["content"] == [{"type": "text", "text": "yes"}]
    assert "signed" in shown["dropped"]["messages.thinking"]
