"""Lessons 33 to 35: betas and their fields, the billing header, and what keeps an upstream's prompt cache warm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.refusals import strip_fields
from operate.settings import load
from tests.lessons.street import ASK, ASKS, CROSSINGS, LANES, PATHS, SAME, Json, Reply, Street, okay
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream

MANAGED: Json = {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}
BETAS = "claude-code-20250219,context-management-2025-06-27,unheard-of-2030-01-01"
TO_OPENAI = [("messages", "chat"), ("messages", "responses")]
STREAM = [True, False]


def ask(street: Street, lane: Any, body: Json, more: str = "", stream: bool = False, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    client, upstream = lane
    return street.ask(client, upstream, ASKS[client] | {"stream": stream} | body, okay(upstream, stream), more, named)


def sent_headers(reply: Reply) -> dict[str, str]:
    assert reply.request is not None
    return reply.request.headers


# ------------------------------------------------------------------------------------ 33: betas and fields


@pytest.mark.parametrize("stream", STREAM)
def test_33_anthropic_gets_every_beta_and_its_field(street: Street, stream: bool) -> None:
    """Known to us or not."""
    body = MANAGED | {"unheard_of": 1}
    reply = ask(street, ("messages", "messages"), body, stream=stream, anthropic_beta=BETAS)
    assert reply.sent.items() >= body.items() and sent_headers(reply)["anthropic-beta"] == BETAS
    assert reply.dropped == []


@pytest.mark.parametrize("lane", TO_OPENAI)
@pytest.mark.parametrize("stream", STREAM)
def test_33_others_get_neither(street: Street, lane: Any, stream: bool) -> None:
    reply = ask(street, lane, MANAGED, stream=stream, anthropic_beta=BETAS, anthropic_version="2023-06-01")
    assert "context_management" not in reply.sent and "context_management" in reply.dropped
    assert not [name for name in sent_headers(reply) if name.startswith("anthropic")]


@pytest.mark.parametrize("client", ["chat", "responses"])
def test_33_neither_comes_from_another_protocol(street: Street, client: Any) -> None:
    """Field and header alike mean nothing in the client's protocol."""
    reply = ask(street, (client, "messages"), MANAGED, anthropic_beta=BETAS)
    assert "context_management" not in reply.sent and "context_management" in reply.dropped
    assert "anthropic-beta" not in sent_headers(reply) and sent_headers(reply)["anthropic-version"]


DROPS = "drop = context_management, mcp_servers\n"


@pytest.mark.parametrize("stream", STREAM)
def test_33_a_server_that_refuses_the_field_is_spared_its_beta_too(street: Street, stream: bool) -> None:
    """It says "context_management: Extra inputs are not permitted", speaks Messages, and is not Anthropic."""
    said = '[{"role":"user","content":"context_management \\u00e9"}]'
    head = f'{{ "model":"m", "max_tokens" :9,\n "b":1.0,"messages":{said}'
    raw = f'{head} , "context_management": {{"edits":[1,{{"a":"}}\\""}}]}} ,"stream":{str(stream).lower()} }}\n'
    answer = okay("messages", stream)
    reply = street.ask("messages", "messages", raw.encode(), answer, DROPS, {"anthropic-beta": BETAS})
    assert reply.request is not None
    assert reply.request.body == f'{head} ,"stream":{str(stream).lower()} }}\n'.encode()  # and not a byte else
    assert sent_headers(reply)["anthropic-beta"] == "claude-code-20250219,unheard-of-2030-01-01"
    assert reply.dropped == ["context_management"] and reply.said()["text"] == "ok"
    plain = ask(street, ("messages", "messages"), {}, DROPS, stream)
    assert plain.dropped == [] and "anthropic-beta" not in sent_headers(plain)
    only = ask(street, ("messages", "messages"), {}, DROPS, anthropic_beta="mcp-client-2025-11-20")
    assert "anthropic-beta" not in sent_headers(only)


def test_33_strict_refuses_rather_than_cuts() -> None:
    with Upstream([Answer.json({})]) as up:
        with House(one_upstream(up.url, "messages", DROPS) + "[translate]\nstrict = true\n") as house:
            status, _, raw = house.post(PATHS["messages"], ASK | MANAGED)
        assert status == 400 and "context_management" in json.loads(raw)["error"]["message"] and up.requests == []


def test_33_betas_of_the_settings_join_the_clients(street: Street) -> None:
    """Were the one to replace the other, the client's field would go without its beta."""
    more = "headers =\n    anthropic-beta: context-1m-2025-08-07, claude-code-20250219\n"
    reply = ask(street, ("messages", "messages"), MANAGED, more, anthropic_beta=BETAS)
    names = sent_headers(reply)["anthropic-beta"].split(",")
    assert sorted(names) == sorted(["context-1m-2025-08-07", *BETAS.split(",")])  # each once
    alone = ask(street, ("chat", "messages"), {}, more)
    assert sent_headers(alone)["anthropic-beta"] == "context-1m-2025-08-07, claude-code-20250219"


@pytest.mark.parametrize(
    ("body", "left", "gone"),
    [
        (b'{"a":1}', b"{}", ["a"]),
        (b' { "a" : [1,{"b":2}] , "c":3}', b' { "c":3}', ["a"]),
        (b'{"c":3,"a":"x"}', b'{"c":3}', ["a"]),
        (b'{"a":1,"c":{"a":1},"a":2}', b'{"c":{"a":1}}', ["a"]),  # said twice; and deeper it is another's
        (b'{"\\u0061":1,"x":"\\"a\\""}', b'{"\\u0061":1,"x":"\\"a\\""}', []),  # not plain: the upstream's to refuse
        (b'{"c":"\\"a\\":1"}', b'{"c":"\\"a\\":1"}', []),
        (b'{"c":{"a":1}}', b'{"c":{"a":1}}', []),
        (b'["a"]', b'["a"]', []),
        (b'{"a":1', b'{"a":1', []),
        (b'{"a":1}x', b"{}x", ["a"]),
        (b'{"a" 1}', b'{"a" 1}', []),
        (b'{"a":1;"c":2}', b'{"a":1;"c":2}', []),
        (b'{"a":\xff}', b'{"a":\xff}', []),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", None, None),
        (b"", b"", []),
    ],
)
def test_33_a_member_is_cut_and_nothing_else(body: bytes, left: bytes | None, gone: list[str] | None) -> None:
    out, names = strip_fields.without(body, ["a", "z"])
    assert (out, names) == (left, gone) or (left is None and out in (body, b"{}"))


# ------------------------------------------------------------------------------------ 34: the billing header

BILLING = "x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=cli; cch=%s;"
RULES = "You are a coding agent."


def words(text: str, **more: Any) -> Json:
    return {"type": "text", "text": text} | more


@pytest.mark.parametrize("lane", TO_OPENAI)
@pytest.mark.parametrize("stream", STREAM)
@pytest.mark.parametrize("form", ["blocks", "one text", "alone"])
def test_34_the_prefix_is_the_same_with_every_prompt(street: Street, lane: Any, stream: bool, form: str) -> None:
    def sent(mark: str) -> Json:
        line = BILLING % mark
        system: Any = {
            "blocks": [words(line), words(RULES, cache_control={"type": "ephemeral"})],
            "one text": f"{line}\n{RULES}",
            "alone": [words(line)],
        }[form]
        return ask(street, lane, {"system": system}, stream=stream).sent

    assert sent("1a2b3") == sent("4c5d6") and "billing" not in json.dumps(sent("1"))
    assert (RULES in json.dumps(sent("1"))) == (form != "alone")


@pytest.mark.parametrize("stream", STREAM)
def test_34_anthropic_gets_it_first_and_as_it_is(street: Street, stream: bool) -> None:
    """It is taken out there by its place."""
    system = [words(BILLING % "1a2b3"), words(RULES, cache_control={"type": "ephemeral"})]
    assert ask(street, ("messages", "messages"), {"system": system}, stream=stream).sent["system"] == system


# ------------------------------------------------------------------------------- 35: caches that stay warm

USER = "user_%s_account__session_0f3c" % ("a" * 64)
KEYED = "prompt_cache_key = true\n"
MARKED: Json = {
    "system": [words(RULES, cache_control={"type": "ephemeral", "ttl": "1h"})],
    "messages": [{"role": "user", "content": [words("go", cache_control={"type": "ephemeral"})]}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
    "metadata": {"user_id": USER},
}


@pytest.mark.parametrize("lane", TO_OPENAI)
@pytest.mark.parametrize("stream", STREAM)
def test_35_marks_stay_and_a_key_goes(street: Street, lane: Any, stream: bool) -> None:
    reply = ask(street, lane, MARKED, KEYED, stream)
    assert "cache_control" not in json.dumps(reply.sent) and "cache_control" in reply.dropped
    key = reply.sent["prompt_cache_key"]
    assert 16 <= len(key) <= 64 and "0f3c" not in key and "aaaa" not in key
    later = MARKED | {"messages": [*MARKED["messages"], {"role": "assistant", "content": "x"}, *MARKED["messages"]]}
    assert ask(street, lane, later, KEYED, stream).sent["prompt_cache_key"] == key
    other = MARKED | {"metadata": {"user_id": USER + "1"}}
    assert ask(street, lane, other, KEYED, stream).sent["prompt_cache_key"] != key


@pytest.mark.parametrize("lane", TO_OPENAI)
def test_35_the_session_header_goes_before_the_user(street: Street, lane: Any) -> None:
    keys = [
        ask(street, lane, body, KEYED, x_claude_code_session_id=session).sent["prompt_cache_key"]
        for body in (MARKED, {})
        for session in ("0f3c-1", "0f3c-2")
    ]
    assert keys[:2] == keys[2:] and keys[0] != keys[1] and not [key for key in keys if "0f3c" in key]
    assert "prompt_cache_key" not in ask(street, lane, {}, KEYED).sent  # whose it is nobody says


@pytest.mark.parametrize("lane", TO_OPENAI)
def test_35_servers_that_may_not_know_the_field_do_not_get_it(street: Street, lane: Any) -> None:
    assert "prompt_cache_key" not in ask(street, lane, MARKED).sent
    assert "prompt_cache_key" not in ask(street, lane, MARKED, KEYED + "drop = prompt_cache_key\n").sent


@pytest.mark.parametrize(
    ("section", "takes"),
    [
        ("protocol = chat\nbase_url = https://api.openai.com", True),
        ("protocol = chat\nbase_url = https://api.openai.com/v1", True),
        ("preset = azure\nbase_url = https://res.openai.azure.com/openai/v1", True),
        ("protocol = chat\nbase_url = https://api.openai.com\nprompt_cache_key = false", False),
        ("protocol = chat\nbase_url = https://api.openai.com.example", False),
        ("protocol = chat\nbase_url = http://127.0.0.1:9/api.openai.com", False),
        ("preset = llamacpp", False),
        ("preset = mistral\nprompt_cache_key = auto", False),
        ("preset = openrouter\nprompt_cache_key = true", True),
    ],
)
def test_35_where_a_key_is_made(section: str, takes: bool) -> None:
    read = load.read(f"[upstream up]\n{section}\n", "test.ini", [], {})
    assert read.upstreams["up"].takes_cache_key is takes


def test_35_a_refusal_of_the_field_is_learned() -> None:
    def answer(request: Request) -> Answer:
        if "prompt_cache_key" in request.json:
            error = {"message": "Unknown parameter: 'prompt_cache_key'.", "param": "prompt_cache_key"}
            return Answer.json({"error": error}, 400)
        whole = okay("chat", False)
        assert isinstance(whole, dict)
        return Answer.json(whole)

    session = {"X-Claude-Code-Session-Id": "0f3c"}
    with Upstream(answer) as up, House(one_upstream(up.url, "chat", KEYED)) as house:
        for _ in range(2):
            status, headers, _ = house.post(PATHS["messages"], ASK, session)
            assert status == 200 and "x-proxy-dropped" not in headers  # it was never the client's
        assert ["prompt_cache_key" in r.json for r in up.requests] == [True, False, False]


@pytest.mark.parametrize("lane", CROSSINGS)
def test_35_a_key_that_the_client_brings_crosses_as_it_is(street: Street, lane: Any) -> None:
    if lane[0] == "messages":
        return
    reply = ask(street, lane, {"prompt_cache_key": "mine", "user": "bob"})
    if lane[1] == "messages":
        assert "prompt_cache_key" not in reply.sent and reply.dropped == ["prompt_cache_key"]
    else:
        assert reply.sent["prompt_cache_key"] == "mine" and reply.dropped == []


@pytest.mark.parametrize("lane", SAME)
def test_35_nothing_is_added_where_bytes_pass(street: Street, lane: Any) -> None:
    body = ASKS[lane[0]] | {"metadata": {"user_id": "u"}}
    reply = street.ask(*lane, body, okay(lane[1], False), KEYED, {"X-Claude-Code-Session-Id": "0f3c"})
    assert reply.sent == body and len(LANES) == 9
