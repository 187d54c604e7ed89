"""Lessons 18 to 23, 27 to 32 and 36 where Responses is on one side: ids, pairs, media, thinking, limits."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from tests.lessons.histories import MESSAGES_HISTORIES, pairs_hold
from tests.lessons.street import (
    ASKS,
    Json,
    Reply,
    Street,
    called,
    completion,
    function,
    message,
    okay,
    response,
    responses,
    said,
)
from tests.support.streams import START, STOP, THINKING, ending, messages, text, tool

STREAM = [True, False]
OTHERS: list[Any] = ["messages", "chat"]
LEGAL_ID = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
ODD_IDS = ["functions.look:0", "a b", "ünï", "x" * 90]
LONG = "mcp__a_server_with_a_long_name__" + "and_a_tool_with_a_longer_one_" * 2
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}
PNG = base64.b64encode(b"\x89PNG not really").decode()
PDF = base64.b64encode(b"%PDF-1.4 not really").decode()
USER: Json = {"role": "user", "content": "go"}
PICTURE = f"data:image/png;base64,{PNG}"


def codex(street: Street, upstream: Any, body: Json, answer: Any = None, stream: bool = False, more: str = "") -> Reply:
    """A Responses client on another upstream. reasoning_content is in no type of OpenAI's."""
    given = okay(upstream, stream) if answer is None else answer
    asked = ASKS["responses"] | {"stream": stream} | body
    return street.ask("responses", upstream, asked, given, more, valid="reasoning_history" not in more)


def to_responses(street: Street, client: Any, body: Json, answer: Any = None, stream: bool = False) -> Reply:
    given = okay("responses", stream) if answer is None else answer
    return street.ask(client, "responses", ASKS[client] | {"stream": stream} | body, given)


def call(id: str = "c1", name: str = "look", arguments: str = "{}") -> Json:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def output(id: str = "c1", given: Any = "fine") -> Json:
    return {"type": "function_call_output", "call_id": id, "output": given}


def own_history(client: str, id: str = "c1", name: str = "look", given: Any = "fine", arguments: str = "{}") -> Json:
    """The fields of a client's body that say: a call of its tool, and what came of it."""
    if client == "messages":
        use = {"type": "tool_use", "id": id, "name": name, "input": json.loads(arguments)}
        result = {"type": "tool_result", "tool_use_id": id, "content": given}
        return {"messages": [USER, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]}
    made = {"role": "assistant", "content": None, "tool_calls": [function(name, arguments, id)]}
    return {"messages": [USER, made, {"role": "tool", "tool_call_id": id, "content": given}]}


def tool_of(client: str, name: str) -> Json:
    if client == "messages":
        return {"name": name, "input_schema": SCHEMA}
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA}}


# ---------------------------------------------------------------------------------- 18: ids and names


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("id", ODD_IDS)
def test_18_call_ids_fit_responses(street: Street, client: Any, id: str) -> None:
    items = to_responses(street, client, own_history(client, id)).sent["input"]
    made, answered = items[1], items[2]
    assert made["call_id"] == answered["call_id"] and LEGAL_ID.match(made["call_id"])
    assert (made["type"], answered["type"]) == ("function_call", "function_call_output")


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("id", ODD_IDS)
@pytest.mark.parametrize("stream", STREAM)
def test_18_ids_of_a_reply_find_home(street: Street, upstream: Any, id: str, stream: bool) -> None:
    if upstream == "chat":
        answer: Any = completion({"tool_calls": [function("look", id=id)]}, "tool_calls")
    else:
        answer = message({"type": "tool_use", "id": id, "name": "look", "input": {}}, stop="tool_use")
    if stream and upstream == "messages":
        answer = messages(START, *tool(0, "{}", id), ending("tool_use"), STOP)
    ((given, _, _),) = codex(street, upstream, {}, answer, stream).said()["calls"]
    sent = codex(street, upstream, {"input": [USER, call(given), output(given)]}).sent["messages"]
    pairs_hold(upstream, sent)
    made = sent[1]["tool_calls"][0]["id"] if upstream == "chat" else sent[1]["content"][0]["id"]
    assert LEGAL_ID.match(made) or (upstream == "chat" and made == id)  # Kimi counts on its own, odd as they are


def test_18_names_are_shortened_and_come_back(street: Street) -> None:
    for client in OTHERS:
        body = {"tools": [tool_of(client, LONG), tool_of(client, "dotted.name")]} | own_history(client, name=LONG)
        sent = to_responses(street, client, body).sent
        short = [made["name"] for made in sent["tools"]]
        assert all(map(LEGAL_ID.match, short)) and len(set(short)) == 2 and sent["input"][1]["name"] == short[0]
        for stream in STREAM:
            answer: Any = responses(called(short[0])) if stream else response(called(short[0]))
            assert to_responses(street, client, body, answer, stream).said()["calls"][0][1] == LONG
    for upstream in OTHERS:
        declared = {"type": "function", "name": LONG, "parameters": SCHEMA, "strict": False}
        sent = codex(street, upstream, {"tools": [declared]}).sent["tools"][0]
        short_name = sent["name"] if upstream == "messages" else sent["function"]["name"]
        assert LEGAL_ID.match(short_name)
        back: Any = completion({"tool_calls": [function(short_name)]}, "tool_calls")
        if upstream == "messages":
            back = message({"type": "tool_use", "id": "t", "name": short_name, "input": {}}, stop="tool_use")
        assert codex(street, upstream, {"tools": [declared]}, back).said()["calls"][0][1] == LONG


# ------------------------------------------------------------------------------------------- 19: pairs

ITEMS: dict[str, list[Json]] = {
    "lost output": [USER, call(), {"role": "user", "content": "never mind"}],
    "lost output at the end": [USER, call()],
    "half of the outputs": [USER, call("a"), call("b"), output("b")],
    "lost call": [output("x", "orphan 9"), {"role": "user", "content": "so"}],
    "said twice": [USER, call(), output(), output("c1", "again")],
    "user between": [USER, call(), {"role": "user", "content": "look:"}, output()],
    "instruction between": [USER, call(), {"role": "developer", "content": "be brief"}, output()],
    "message after the call": [USER, call(), said("waiting"), output()],
    "two rounds": [USER, call("a"), output("a"), call("b"), output("b")],
    "one id twice": [USER, call("a"), output("a", "no 1"), call("a"), output("a", "no 2")],
}
TEXTS = ("never mind", "orphan 9", "look:", "again", "be brief", "so", "fine", "waiting", "no 1", "no 2")


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("name", ITEMS)
def test_19_pairs_of_a_responses_client(street: Street, upstream: Any, name: str) -> None:
    declared = {"type": "function", "name": "look", "parameters": SCHEMA, "strict": False}
    sent = codex(street, upstream, {"input": ITEMS[name], "tools": [declared]}).sent["messages"]
    pairs_hold(upstream, sent)
    for words in TEXTS:
        assert (f'"{words}"' in json.dumps(ITEMS[name])) <= (words in json.dumps(sent)), words


@pytest.mark.parametrize("name", MESSAGES_HISTORIES)
def test_19_pairs_towards_responses(street: Street, name: str) -> None:
    """Each call has its output, and each output its call, before it."""
    items = to_responses(street, "messages", {"messages": MESSAGES_HISTORIES[name]}).sent["input"]
    made = [item["call_id"] for item in items if item["type"] == "function_call"]
    answered = [item["call_id"] for item in items if item["type"] == "function_call_output"]
    assert sorted(made) == sorted(answered) and len(set(made)) == len(made), items
    for id in made:
        kinds = [item["type"] for item in items if item.get("call_id") == id]
        assert kinds == ["function_call", "function_call_output"]
    for words in ("never mind", "orphan 9", "look:", "again", "be brief", "so", "fine", "waiting", "hm", "short"):
        assert (f'"{words}"' in json.dumps(MESSAGES_HISTORIES[name])) <= (words in json.dumps(items)), words


# ------------------------------------------------------------------------------- 20, 21: choice, arguments


@pytest.mark.parametrize(("theirs", "ours"), [("auto", "auto"), ("any", "required"), ("none", "none")])
@pytest.mark.parametrize("parallel", [True, False])
def test_20_tool_choice(street: Street, theirs: str, ours: str, parallel: bool) -> None:
    declared = {"type": "function", "name": "look", "parameters": SCHEMA, "strict": False}
    asked = {"tools": [declared], "tool_choice": ours, "parallel_tool_calls": parallel}
    sent = codex(street, "messages", asked).sent["tool_choice"]
    assert sent["type"] == theirs
    assert sent.get("disable_parallel_tool_use", False) is (not parallel and theirs != "none")
    sent = codex(street, "chat", asked).sent
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == (ours, parallel)
    more = {} if theirs == "none" else {"disable_parallel_tool_use": not parallel}
    body = {"tools": [tool_of("messages", "look")], "tool_choice": {"type": theirs} | more}
    sent = to_responses(street, "messages", body).sent
    assert sent["tool_choice"] == ours and sent.get("parallel_tool_calls", parallel) is parallel
    named = codex(street, "messages", asked | {"tool_choice": {"type": "function", "name": "look"}}).sent
    assert (named["tool_choice"]["type"], named["tool_choice"]["name"]) == ("tool", "look")
    body["tool_choice"] = {"type": "tool", "name": "look"}
    assert to_responses(street, "messages", body).sent["tool_choice"] == {"type": "function", "name": "look"}


@pytest.mark.parametrize(
    ("written", "meant"), [("", {}), ("rm -rf", {"_raw": "rm -rf"}), ("[1]", {"_raw": "[1]"}), ('{"a": 1}', {"a": 1})]
)
def test_21_arguments_that_are_no_object(street: Street, written: str, meant: Json) -> None:
    items = [USER, call(arguments=written), output()]
    sent = codex(street, "messages", {"input": items}).sent["messages"]
    assert sent[1]["content"][0]["input"] == meant
    answer = response(called("look", written))
    assert to_responses(street, "messages", {}, answer).said()["calls"][0][2] == meant
    sent = to_responses(street, "chat", own_history("chat", arguments=written)).sent["input"]
    assert json.loads(sent[1]["arguments"]) == meant


# --------------------------------------------------------------------------- 22, 23: images and documents


@pytest.mark.parametrize("upstream", OTHERS)
def test_22_images_of_outputs(street: Street, upstream: Any) -> None:
    given = [{"type": "input_text", "text": "a picture"}, {"type": "input_image", "image_url": PICTURE}]
    sent = codex(street, upstream, {"input": [USER, call(), output("c1", given)]}).sent["messages"]
    pairs_hold(upstream, sent)
    assert PNG in json.dumps(sent[2:]) and "a picture" in json.dumps(sent[2])
    assert upstream == "messages" or (sent[-1]["role"] == "user" and PNG not in json.dumps(sent[2]))


def test_22_images_and_errors_towards_responses(street: Street) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    sent = to_responses(street, "messages", own_history("messages", given=[picture])).sent["input"]
    assert PICTURE in json.dumps(sent)
    body = own_history("messages", given="it broke")
    body["messages"][2]["content"][0]["is_error"] = True
    said_ = to_responses(street, "messages", body).sent["input"][2]["output"]
    assert "it broke" in said_ and "error" in said_.lower()


@pytest.mark.parametrize("upstream", OTHERS)
def test_23_documents_cross_or_are_refused(street: Street, upstream: Any) -> None:
    def asked(**file: Any) -> Json:
        part = {"type": "input_file"} | file
        return {"input": [{"role": "user", "content": [part, {"type": "input_text", "text": "sum up"}]}]}

    sent = codex(street, upstream, asked(filename="a.pdf", file_data=f"data:application/pdf;base64,{PDF}")).sent
    assert PDF in json.dumps(sent) and "a.pdf" in json.dumps(sent)
    reply = codex(street, upstream, asked(file_id="file-1"))
    assert reply.status == 400 and reply.request is None and reply.error["message"]
    reply = codex(street, upstream, asked(file_url="https://a.example/b.pdf"))
    assert (reply.status == 400) if upstream == "chat" else ("https://a.example/b.pdf" in json.dumps(reply.sent))


def test_23_documents_towards_responses(street: Street) -> None:
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}
    link = {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}}
    plain = {"type": "document", "title": "t", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}
    asked = {"messages": [{"role": "user", "content": [pdf, link, plain]}]}
    sent = json.dumps(to_responses(street, "messages", asked).sent)
    assert PDF in sent and "https://a.example/b.pdf" in sent and "words" in sent
    gone = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    reply = to_responses(street, "messages", {"messages": [{"role": "user", "content": [gone]}]})
    assert reply.status == 400 and reply.request is None


# ------------------------------------------------------------------------------ 27, 28: "" and instructions


@pytest.mark.parametrize("upstream", OTHERS)
def test_27_no_empty_content(street: Street, upstream: Any) -> None:
    items = [USER, said(""), call(), output("c1", ""), {"role": "user", "content": ""}]
    sent = codex(street, upstream, {"input": items, "instructions": ""}).sent
    assert '""' not in json.dumps(sent["messages"]) and "system" not in sent
    assert sent["messages"][0]["role"] == "user"


def test_27_no_empty_content_towards_responses(street: Street) -> None:
    for client in OTHERS:
        body = own_history(client, given="")
        body["messages"] += [{"role": "assistant", "content": ""}, {"role": "user", "content": "on"}]
        sent = to_responses(street, client, body).sent
        assert '"text": ""' not in json.dumps(sent) and '"content": []' not in json.dumps(sent)
        assert "instructions" not in sent


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("role", ["system", "developer"])
def test_28_instructions_wherever_they_stand(street: Street, upstream: Any, role: str) -> None:
    items = [{"role": role, "content": "at the head"}, USER, {"role": role, "content": "be brief"}, USER]
    sent = codex(street, upstream, {"instructions": "first of all", "input": items}).sent
    head = sent["system"] if upstream == "messages" else sent["messages"][0]["content"]
    assert "first of all" in json.dumps(head) and "at the head" in json.dumps(head)
    assert "be brief" in json.dumps(sent["messages"][1 if upstream == "chat" else 0 :])
    roles = [m["role"] for m in sent["messages"]]
    assert roles.count("system") == (1 if upstream == "chat" else 0) and "developer" not in roles


def test_28_towards_responses(street: Street) -> None:
    block = {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}
    midway = {"role": "system", "content": [block]}
    reply = to_responses(street, "messages", {"system": "first of all", "messages": [USER, midway]})
    assert reply.sent["instructions"] == "first of all" and "be brief" in json.dumps(reply.sent["input"])
    assert "cache_control" in reply.dropped and "cache_control" not in json.dumps(reply.sent)


# ------------------------------------------------------------------------------------- 29 to 32: thinking


@pytest.mark.parametrize("stream", STREAM)
def test_29_a_signature_survives_a_responses_client(street: Street, stream: bool) -> None:
    thought = {"type": "thinking", "thinking": "so", "signature": "c2ln"}
    whole: Any = message(thought, {"type": "text", "text": "hi"})
    streamed: Any = messages(START, *THINKING, *text(1, "hi"), ending(), STOP)
    items = codex(street, "messages", {}, streamed if stream else whole, stream).read()["output"]
    back = [{key: value for key, value in item.items() if value is not None} for item in items]
    sent = codex(street, "messages", {"input": [USER, *back, USER]}).sent["messages"]
    assert sent[1]["content"][0] == thought
    assert "c2ln" not in json.dumps(codex(street, "chat", {"input": [USER, *back, USER]}).sent)


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("stream", STREAM)
def test_29_a_cipher_survives_and_goes_nowhere_else(street: Street, client: Any, stream: bool) -> None:
    summary = [{"type": "summary_text", "text": "so"}]
    item = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAcipher"}
    answer: Any = responses(item, said("hi")) if stream else response(item, said("hi"))
    got = to_responses(street, client, {}, answer, stream).read()
    if client == "messages":
        turn = {"role": "assistant", "content": got["content"]}
    else:
        turn = {key: value for key, value in got["choices"][0]["message"].items() if value}
    sent = to_responses(street, client, {"messages": [USER, turn, USER]}).sent["input"]
    again = [i for i in sent if i["type"] == "reasoning"]
    assert [i["encrypted_content"] for i in again] == ["gAcipher"]
    other: Any = "chat" if client == "messages" else "messages"
    asked = ASKS[client] | {"messages": [USER, turn, USER]}
    elsewhere = street.ask(client, other, asked, okay(other, False), valid=False)
    assert "gAcipher" not in json.dumps(elsewhere.sent)


@pytest.mark.parametrize("upstream", OTHERS)
def test_29_foreign_reasoning_items_stay_behind(street: Street, upstream: Any) -> None:
    foreign = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAforeign"}
    reply = codex(street, upstream, {"input": [USER, foreign, said("hi"), USER]})
    assert "gAforeign" not in json.dumps(reply.sent) and [n for n in reply.dropped if "reasoning" in n]


@pytest.mark.parametrize("stream", STREAM)
def test_30_same_protocol_is_the_same_bytes(street: Street, stream: bool) -> None:
    raw = b'{ "input" : [{"role":"user","content":"\\u00e9\\/"}],"b":1.0, "model":"m","stream":%b }\n' % (
        b"true" if stream else b"false"
    )
    answer = okay("responses", stream)
    reply = street.ask("responses", "responses", raw, answer)
    assert reply.request is not None and reply.request.body == raw
    assert reply.raw == (answer if isinstance(answer, bytes) else json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [("", None), ("reasoning_history = tool_calls\n", "why"), ("reasoning_history = true\n", "why")],
)
def test_31_reasoning_goes_back_to_chat_where_it_is_wanted(street: Street, setting: str, wanted: str | None) -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "why"}]}
    sent = codex(street, "chat", {"input": [USER, thought, call(), output()]}, more=setting).sent["messages"]
    assert sent[1].get("reasoning_content") == wanted and sent[1]["tool_calls"]


@pytest.mark.parametrize("word", ["minimal", "low", "medium", "high"])
@pytest.mark.parametrize("limit", [1, 1024, 2000, 64000])
def test_32_how_much_to_think(street: Street, word: str, limit: int) -> None:
    body = {"model": "claude-sonnet-4-5", "reasoning": {"effort": word}, "max_output_tokens": limit}
    reply = codex(street, "messages", body)
    if "thinking" in reply.sent:
        assert 1024 <= reply.sent["thinking"]["budget_tokens"] < reply.sent["max_tokens"] == limit
    else:
        assert limit <= 1024 and [name for name in reply.dropped if name.startswith("reasoning")]
    assert codex(street, "chat", body | {"model": "gpt-5"}).sent["reasoning_effort"] == word
    adaptive = codex(street, "messages", body | {"model": "claude-opus-5-5"}).sent
    assert adaptive["thinking"]["type"] == "adaptive" and "budget_tokens" not in adaptive["thinking"]


@pytest.mark.parametrize(("budget", "word"), [(1024, "low"), (8192, "medium"), (31999, "high")])
def test_32_a_budget_becomes_an_effort(street: Street, budget: int, word: str) -> None:
    body = {"model": "gpt-5", "max_tokens": 64000, "thinking": {"type": "enabled", "budget_tokens": budget}}
    assert to_responses(street, "messages", body).sent["reasoning"]["effort"] == word
    body = {"model": "gpt-5", "output_config": {"effort": word}}
    assert to_responses(street, "messages", body).sent["reasoning"]["effort"] == word
    body = {"model": "gpt-5", "reasoning_effort": word}
    assert to_responses(street, "chat", body).sent["reasoning"]["effort"] == word


# --------------------------------------------------------------------------------------------- 36: limits


def test_36_limits(street: Street) -> None:
    more = "max_tokens = 8192\n"
    for upstream in OTHERS:
        assert codex(street, upstream, {"max_output_tokens": 9000}, more=more).sent["max_tokens"] == 8192
    body = ASKS["messages"] | {"max_tokens": 9000, "stop_sequences": ["a"], "temperature": 0.3, "top_p": 0.9}
    reply = street.ask("messages", "responses", body, okay("responses", False), more)
    assert reply.sent["max_output_tokens"] == 8192 and reply.dropped == ["stop_sequences"]
    assert (reply.sent["temperature"], reply.sent["top_p"]) == (0.3, 0.9)
    assert to_responses(street, "messages", {"max_tokens": 1}).sent["max_output_tokens"] == 16  # OpenAI's least
    reply = codex(street, "messages", {"temperature": 1.7, "top_p": 0.9})
    assert reply.sent["temperature"] == 1 and reply.dropped == ["top_p"]
    unlimited = {key: value for key, value in ASKS["responses"].items() if key != "max_output_tokens"}
    assert street.ask("responses", "messages", unlimited, okay("messages", False)).sent["max_tokens"] >= 4096
