"""Lessons 18 to 23, 27 and 28: tools and histories, made acceptable wherever they cross."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from tests.lessons.street import ASK, Json, Reply, Street, completion, function, message
from tests.support.streams import ROLE, START, STOP, chat, chunk, ending, first_call, messages, tool

TOOL_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
OK_CHAT = completion({"content": "ok"})
OK_MESSAGES = message({"type": "text", "text": "ok"})
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
PNG = base64.b64encode(b"\x89PNG not really").decode()
PDF = base64.b64encode(b"%PDF-1.4 not really").decode()
USER = {"role": "user", "content": "go"}


def claude(street: Street, body: Json, answer: Any = OK_CHAT, **more: Any) -> Reply:
    """A Messages client on a Chat upstream."""
    return street.ask("messages", "chat", ASK | body, answer, **more)


def gpt(street: Street, body: Json, answer: Any = OK_MESSAGES, **more: Any) -> Reply:
    """A Chat client on a Messages upstream."""
    return street.ask("chat", "messages", ASK | body, answer, **more)


def use(id: str = "t1", name: str = "look", **given: Any) -> Json:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def result(id: str = "t1", content: Any = "fine", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id, "content": content} | more


def words(text: str) -> Json:
    return {"type": "text", "text": text}


def turn(role: str, *blocks: Json) -> Json:
    return {"role": role, "content": list(blocks)}


def calls(*made: Json, content: Any = None) -> Json:
    return {"role": "assistant", "content": content, "tool_calls": list(made)}


def answered(id: str = "call_1", content: Any = "fine") -> Json:
    return {"role": "tool", "tool_call_id": id, "content": content}


# ---------------------------------------------------------------------------------- 18: ids and names


@pytest.mark.parametrize("id", ["functions.look:0", "a b", "ünï", "x" * 90, "call.1", "call:1", ""])
@pytest.mark.parametrize("stream", [True, False])
def test_18_tool_ids_are_made_legal_and_find_home(street: Street, id: str, stream: bool) -> None:
    """What the client was given it sends back: the upstream sees call and result under one id again."""
    streamed: Any = chat(ROLE, chunk(first_call(0, "{}", id)), chunk(finish="tool_calls"))
    whole: Any = completion({"tool_calls": [function("look", id=id)]}, "tool_calls")
    reply = claude(street, {"stream": stream}, streamed if stream else whole)
    ((given, _, _),) = reply.said()["calls"]
    assert TOOL_ID.match(given) and len(given) <= 64
    assert claude(street, {"stream": stream}, streamed if stream else whole).said()["calls"][0][0] == given or not id
    history = [USER, turn("assistant", use(given)), turn("user", result(given))]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"]


def test_18_different_ids_never_meet(street: Street) -> None:
    odd = ["a.b", "a:b", "a b", "a_b"]
    made = completion({"tool_calls": [function("look", id=id) for id in odd]}, "tool_calls")
    assert len({id for id, _, _ in claude(street, {}, made).said()["calls"]}) == 4
    same = completion({"tool_calls": [function("look", id="call_1"), function("look", id="call_1")]}, "tool_calls")
    assert len({id for id, _, _ in claude(street, {}, same).said()["calls"]}) == 2
    history = [USER, calls(*(function("look", id=id) for id in odd)), *(answered(id, f"of {id}") for id in odd)]
    sent = gpt(street, {"messages": history}).sent["messages"]
    asked = [block["id"] for block in sent[1]["content"]]
    assert len(set(asked)) == 4 and all(map(TOOL_ID.match, asked))
    got = {block["tool_use_id"]: block["content"] for block in sent[2]["content"]}
    assert [got[id] for id in asked] == [f"of {id}" for id in odd]


def test_18_ids_that_a_server_counts_anew_in_each_reply(street: Street) -> None:
    """Anthropic wants them unique in the whole history; each result still belongs to its call."""
    rounds = [[calls(function("look", f'{{"a":{n}}}', "call_0")), answered("call_0", f"no {n}")] for n in range(3)]
    sent = gpt(street, {"messages": [USER, *(m for pair in rounds for m in pair)]}).sent["messages"]
    uses = [block for m in sent for block in m["content"] if block["type"] == "tool_use"]
    results = [block for m in sent for block in m["content"] if block["type"] == "tool_result"]
    assert len({block["id"] for block in uses}) == 3
    assert [block["id"] for block in uses] == [block["tool_use_id"] for block in results]


LONG = "mcp__a_server_with_a_long_name__" + "and_a_tool_with_a_longer_one_" * 2
NAMES = [LONG + "1", LONG + "2", "dotted.name", "spaced name", "ünï"]


@pytest.mark.parametrize("stream", [True, False])
def test_18_tool_names_are_shortened_and_come_back(street: Street, stream: bool) -> None:
    """In the declaration, the history, the choice, and the reply."""
    tools = [{"name": name, "input_schema": SCHEMA} for name in NAMES]
    history = [USER, turn("assistant", use(name=NAMES[0])), turn("user", result())]
    body = {"tools": tools, "messages": history, "tool_choice": {"type": "tool", "name": NAMES[0]}, "stream": stream}
    sent = claude(street, body).sent
    short = [tool["function"]["name"] for tool in sent["tools"]]
    assert len(set(short)) == len(NAMES) and all(re.match(r"^[a-zA-Z0-9_-]{1,64}$", name) for name in short)
    assert sent["messages"][1]["tool_calls"][0]["function"]["name"] == short[0]
    assert sent["tool_choice"]["function"]["name"] == short[0]
    streamed: Any = chat(ROLE, chunk(first_call(0, "{}", name=short[1])), chunk(finish="tool_calls"))
    whole: Any = completion({"tool_calls": [function(short[1])]}, "tool_calls")
    assert claude(street, body, streamed if stream else whole).said()["calls"][0][1] == NAMES[1]

    functions = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES]
    choice = {"type": "function", "function": {"name": NAMES[2]}}
    body = {"tools": functions, "messages": [USER, calls(function(NAMES[2])), answered()], "tool_choice": choice}
    sent = gpt(street, body | {"stream": stream}).sent
    short = [tool["name"] for tool in sent["tools"]]
    assert len(set(short)) == len(NAMES) and all(re.match(r"^[a-zA-Z0-9_-]{1,64}$", name) for name in short)
    assert sent["messages"][1]["content"][0]["name"] == sent["tool_choice"]["name"] == short[2]
    streamed = messages(START, *tool(0, name=short[3]), ending("tool_use"), STOP)
    whole = message(use(name=short[3]), stop="tool_use")
    said = gpt(street, body | {"stream": stream}, streamed if stream else whole).said()
    assert said["calls"][0][1] == NAMES[3]


# ------------------------------------------------------------------------------------------- 19: pairs


def pairs_hold(upstream: str, sent: list[Json]) -> None:
    """Every call is answered right after its turn, and every answer has its call right before it."""
    if upstream == "chat":
        for i, m in enumerate(sent):
            wanted = {c["id"] for c in m.get("tool_calls", [])}
            following = []
            for later in sent[i + 1 :]:
                if later["role"] != "tool":
                    break
                following.append(later["tool_call_id"])
            if m["role"] == "assistant":
                assert sorted(wanted) == sorted(following), sent
            elif m["role"] != "tool":
                assert not following, sent
        return
    assert [m["role"] for m in sent] == [("user", "assistant")[i % 2] for i in range(len(sent))]
    for i, m in enumerate(sent):
        wanted = [b["id"] for b in m["content"] if b["type"] == "tool_use"]
        after = sent[i + 1]["content"] if i + 1 < len(sent) else []
        got = [b["tool_use_id"] for b in after if b["type"] == "tool_result"]
        if m["role"] == "assistant":
            assert sorted(wanted) == sorted(got), sent
            kinds = [b["type"] == "tool_result" for b in after]
            assert kinds == sorted(kinds, reverse=True), "results come first"
    assert not [b for b in sent[0]["content"] if b["type"] == "tool_result"]


MESSAGES_HISTORIES: dict[str, list[Json]] = {
    "lost result": [USER, turn("assistant", use()), turn("user", words("never mind"))],
    "lost result at the end": [USER, turn("assistant", use())],
    "half of the results": [USER, turn("assistant", use("t1"), use("t2")), turn("user", result("t2"), words("so"))],
    "lost call": [turn("user", result("t9", "orphan 9"), words("so"))],
    "compacted": [USER, turn("assistant", words("short")), turn("user", result("t9", "orphan 9"))],
    "text first": [USER, turn("assistant", use()), turn("user", words("look:"), result(), words("so"))],
    "said twice": [USER, turn("assistant", use()), turn("user", result(), result("t1", "again"))],
    "split": [USER, turn("assistant", use("t1"), use("t2")), turn("user", result("t1")), turn("user", result("t2"))],
    "instruction between": [
        USER,
        turn("assistant", use()),
        {"role": "system", "content": "be brief"},
        turn("user", result(), words("so")),
    ],
    "two assistants": [USER, turn("assistant", use("t1")), turn("assistant", use("t2")), turn("user", result("t2"))],
    "result too late": [USER, turn("assistant", use()), USER, turn("assistant", words("hm")), turn("user", result())],
    "text after the call": [USER, turn("assistant", use(), words("waiting")), turn("user", result())],
}


@pytest.mark.parametrize("name", MESSAGES_HISTORIES)
def test_19_pairs_are_repaired_towards_chat(street: Street, name: str) -> None:
    history = MESSAGES_HISTORIES[name]
    sent = claude(street, {"messages": history}).sent["messages"]
    pairs_hold("chat", sent)
    for text in ("never mind", "orphan 9", "look:", "again", "be brief", "so", "fine", "waiting", "hm", "short"):
        assert (f'"{text}"' in json.dumps(history)) <= (text in json.dumps(sent)), text


CHAT_HISTORIES: dict[str, list[Json]] = {
    "lost result": [USER, calls(function("look")), {"role": "user", "content": "never mind"}],
    "lost result at the end": [USER, calls(function("look"))],
    "half": [USER, calls(function("look", id="a"), function("look", id="b")), answered("b")],
    "lost call": [answered("x", "orphan 9"), {"role": "user", "content": "so"}],
    "compacted": [USER, {"role": "assistant", "content": "short"}, answered("x", "orphan 9")],
    "said twice": [USER, calls(function("look")), answered(), answered("call_1", "again")],
    "user between": [USER, calls(function("look")), {"role": "user", "content": "look:"}, answered()],
    "instruction between": [USER, calls(function("look")), {"role": "developer", "content": "be brief"}, answered()],
    "two assistants": [USER, calls(function("look", id="a")), calls(function("look", id="b")), answered("b")],
    "two rounds": [
        USER,
        calls(function("look", id="a")),
        answered("a"),
        calls(function("look", id="b")),
        answered("b"),
    ],
    "assistant first": [{"role": "assistant", "content": "short"}, USER],
    "legacy function": [
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "fine"},
    ],
}


@pytest.mark.parametrize("name", CHAT_HISTORIES)
def test_19_pairs_are_repaired_towards_messages(street: Street, name: str) -> None:
    history = CHAT_HISTORIES[name]
    tools = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    sent = gpt(street, {"messages": history, "tools": tools}).sent["messages"]
    pairs_hold("messages", sent)
    for text in ("never mind", "orphan 9", "look:", "again", "be brief", "so", "fine", "short"):
        assert (f'"{text}"' in json.dumps(history)) <= (text in json.dumps(sent)), text


def test_19_passthrough_repairs_nothing(street: Street) -> None:
    body = ASK | {"messages": MESSAGES_HISTORIES["lost call"]}
    assert street.ask("messages", "messages", body, OK_MESSAGES).sent == body
    body = ASK | {"messages": CHAT_HISTORIES["lost call"]}
    assert street.ask("chat", "chat", body, OK_CHAT).sent == body


# ------------------------------------------------------------------------------- 20, 21: choice, arguments


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("auto", "auto"), ("any", "required"), ("none", "none")],
)
def test_20_tool_choice_there_and_back(street: Street, theirs: str, ours: str) -> None:
    tools = [{"name": "look", "input_schema": SCHEMA}]
    functions = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    assert claude(street, {"tools": tools, "tool_choice": {"type": theirs}}).sent["tool_choice"] == ours
    assert gpt(street, {"tools": functions, "tool_choice": ours}).sent["tool_choice"]["type"] == theirs
    sent = claude(street, {"tools": tools, "tool_choice": {"type": "tool", "name": "look"}}).sent
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    sent = gpt(street, {"tools": functions, "tool_choice": sent["tool_choice"]}).sent
    assert sent["tool_choice"] == {"type": "tool", "name": "look"}


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("choice", ["auto", "any", None])
def test_20_the_parallel_flag_is_inverted(street: Street, parallel: bool, choice: str | None) -> None:
    tools = [{"name": "look", "input_schema": SCHEMA}]
    functions = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    if choice:
        asked = {"tools": tools, "tool_choice": {"type": choice, "disable_parallel_tool_use": not parallel}}
        assert claude(street, asked).sent["parallel_tool_calls"] is parallel
    said = {} if choice is None else {"tool_choice": {"auto": "auto", "any": "required"}[choice]}
    sent = gpt(street, {"tools": functions, "parallel_tool_calls": parallel} | said).sent
    assert "parallel_tool_calls" not in sent
    flag = sent.get("tool_choice", {}).get("disable_parallel_tool_use", False)
    assert flag is (not parallel)
    # Neither may stand without tools: OpenAI and Anthropic answer 400.
    sent = gpt(street, {"parallel_tool_calls": parallel}).sent
    assert "tool_choice" not in sent
    sent = claude(street, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": not parallel}}).sent
    assert "tool_choice" not in sent and "parallel_tool_calls" not in sent


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", {}),
        ("  ", {}),
        ("null", {"_raw": "null"}),
        ("not json", {"_raw": "not json"}),
        ("[1]", {"_raw": "[1]"}),
        ('"x"', {"_raw": '"x"'}),
        ('{"a": 1', {"_raw": '{"a": 1'}),
        ('{"a": 1}', {"a": 1}),
        ('{"n": 12345678901234567890, "x": 1.0}', {"n": 12345678901234567890, "x": 1.0}),
    ],
)
def test_21_arguments_that_are_no_json_are_wrapped(street: Street, written: str, meant: Json) -> None:
    sent = gpt(street, {"messages": [USER, calls(function("look", written)), answered()]}).sent["messages"]
    assert sent[1]["content"][0]["input"] == meant
    reply = claude(street, {}, completion({"tool_calls": [function("look", written)]}, "tool_calls"))
    assert reply.said()["calls"][0][2] == meant


# --------------------------------------------------------------------------- 22, 23: images and documents

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
LINKED = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}


def test_22_images_of_tool_results_follow_in_a_user_message(street: Street) -> None:
    history = [
        USER,
        turn("assistant", use("t1"), use("t2")),
        turn("user", result("t1", [words("a picture"), IMAGE]), result("t2", [LINKED]), words("compare")),
    ]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool", "user"]
    assert "a picture" in sent[2]["content"] and all(isinstance(m["content"], str) and m["content"] for m in sent[2:4])
    last = sent[4]["content"]
    urls = [part["image_url"]["url"] for part in last if part["type"] == "image_url"]
    assert urls == [f"data:image/png;base64,{PNG}", "https://a.example/b.png"]
    assert last[-1] == words("compare")
    said = json.dumps(last)
    assert "t1" in said and "t2" in said  # whose image is whose


def test_22_images_of_tool_messages_stay_in_the_result(street: Street) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    history = [USER, calls(function("look")), answered("call_1", [words("a picture"), image])]
    sent = gpt(street, {"messages": history}, valid=True).sent["messages"]
    assert sent[2]["content"][0]["content"] == [words("a picture"), IMAGE]


def test_22_images_of_the_user_both_ways(street: Street) -> None:
    sent = claude(street, {"messages": [turn("user", words("what"), IMAGE, LINKED)]}).sent["messages"]
    urls = [part["image_url"]["url"] for part in sent[0]["content"][1:]]
    assert urls == [f"data:image/png;base64,{PNG}", "https://a.example/b.png"]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    sent = gpt(street, {"messages": [turn("user", words("what"), *parts)]}).sent["messages"]
    assert sent[0]["content"] == [words("what"), IMAGE, LINKED]


@pytest.mark.parametrize("content", ["it broke", [words("it broke")], "", []])
def test_22_is_error_is_kept_in_words(street: Street, content: Any) -> None:
    history = [USER, turn("assistant", use()), turn("user", result(content=content, is_error=True))]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert "error" in sent[2]["content"].lower() and (not content or "it broke" in sent[2]["content"])
    history[2] = turn("user", result(content=content, is_error=False))
    assert "error" not in claude(street, {"messages": history}).sent["messages"][2]["content"].lower()


def document(**source: Any) -> Json:
    return {"type": "document", "title": "a title", "source": source}


def test_23_documents_cross_or_are_refused(street: Street) -> None:
    pdf = document(type="base64", media_type="application/pdf", data=PDF)
    sent = claude(street, {"messages": [turn("user", pdf, words("sum up"))]}).sent["messages"]
    file = next(part["file"] for part in sent[0]["content"] if part["type"] == "file")
    assert file["file_data"] == f"data:application/pdf;base64,{PDF}" and "a title" in file["filename"]
    plain = document(type="text", media_type="text/plain", data="the whole text")
    blocks = document(type="content", content=[words("one part"), IMAGE])
    sent = claude(street, {"messages": [turn("user", plain, blocks)]}).sent["messages"]
    said = json.dumps(sent)
    assert "the whole text" in said and "a title" in said and "one part" in said and PNG in said
    for gone in (document(type="file", file_id="file_1"), document(type="url", url="https://a.example/b.pdf")):
        reply = claude(street, {"messages": [turn("user", gone)]})
        assert reply.status == 400 and reply.request is None and "document" in reply.error["message"]


def test_23_documents_of_tool_results(street: Street) -> None:
    pdf = document(type="base64", media_type="application/pdf", data=PDF)
    history = [USER, turn("assistant", use()), turn("user", result(content=[words("pages"), pdf]))]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "user"] and PDF in json.dumps(sent[3])


def test_23_context_of_a_document_is_not_lost(street: Street) -> None:
    plain = document(type="text", media_type="text/plain", data="the text") | {"context": "from the archive"}
    reply = claude(street, {"messages": [turn("user", plain)]})
    assert "from the archive" in json.dumps(reply.sent) or "context" in reply.dropped


def test_23_files_of_chat_clients(street: Street) -> None:
    def file(**inner: Any) -> Json:
        return {"messages": [turn("user", {"type": "file", "file": inner}, words("sum up"))]}

    sent = gpt(street, file(filename="a.pdf", file_data=f"data:application/pdf;base64,{PDF}")).sent["messages"]
    block = sent[0]["content"][0]
    assert block["source"] == {"type": "base64", "media_type": "application/pdf", "data": PDF}
    assert block["title"] == "a.pdf"
    text = base64.b64encode(b"the whole text").decode()
    for media_type in ("text/plain", "text/csv", "application/json"):
        sent = gpt(street, file(filename="a.txt", file_data=f"data:{media_type};base64,{text}")).sent["messages"]
        source = sent[0]["content"][0]["source"]
        assert source == {"type": "text", "media_type": "text/plain", "data": "the whole text"}
    for inner in ({"file_id": "file-1"}, {"file_data": "data:application/zip;base64,UEs="}):
        reply = gpt(street, file(**inner))
        assert reply.status == 400 and reply.request is None and reply.error["message"]
    audio = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    reply = gpt(street, {"messages": [turn("user", audio)]})
    assert reply.status == 400 and "audio" in reply.error["message"]


# ------------------------------------------------------------------------------ 27, 28: "" and system


def test_27_no_empty_content(street: Street) -> None:
    history = [USER, turn("assistant", use()), turn("user", result(content=""))]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert sent[1]["content"] is None and sent[1]["tool_calls"] and sent[2]["content"]
    history = [USER, calls(function("look"), content=""), answered(content="")]
    sent = gpt(street, {"messages": history}).sent["messages"]
    assert [b["type"] for b in sent[1]["content"]] == ["tool_use"]
    assert sent[2]["content"][0].get("content") != ""
    empty = [USER, {"role": "assistant", "content": ""}, {"role": "user", "content": "two"}]
    for ask in (claude, gpt):
        sent = ask(street, {"messages": empty}).sent["messages"]
        assert [m["role"] for m in sent] == ["user"] and "go" in json.dumps(sent) and "two" in json.dumps(sent)
    for system in ("", [], [words("")]):
        sent = claude(street, {"system": system}).sent["messages"]
        assert [m["role"] for m in sent] == ["user"]
    sent = gpt(street, {"messages": [{"role": "system", "content": ""}, USER]}).sent
    assert "system" not in sent
    for ask in (claude, gpt):
        reply = ask(street, {"messages": [{"role": "user", "content": ""}]})
        assert reply.request is None or '""' not in json.dumps(reply.sent["messages"])
        assert reply.status in (200, 400)


MIDWAY = {"role": "system", "content": [words("be brief") | {"cache_control": {"type": "ephemeral"}}]}


@pytest.mark.parametrize("place", ["before", "between", "after results", "last"])
def test_28_system_in_mid_conversation(street: Street, place: str) -> None:
    history = {
        "before": [MIDWAY, USER],
        "between": [USER, MIDWAY, turn("assistant", words("hm")), USER],
        "after results": [USER, turn("assistant", use()), turn("user", result()), MIDWAY],
        "last": [USER, MIDWAY | {"content": "be brief", "output_config": {"effort": "medium"}}],
    }[place]
    reply = claude(street, {"system": "first of all", "messages": history})
    sent = reply.sent["messages"]
    assert sent[0]["role"] == "system" and "first of all" in sent[0]["content"]
    assert "be brief" in json.dumps(sent) and [m["role"] for m in sent].count("system") == 1
    pairs_hold("chat", sent)
    assert ("cache_control" in reply.dropped) == ("cache_control" in json.dumps(history))
    assert ("output_config" in reply.dropped) == ("output_config" in json.dumps(history))


@pytest.mark.parametrize("role", ["system", "developer"])
def test_28_instructions_of_chat_clients_wherever_they_stand(street: Street, role: str) -> None:
    history = [{"role": role, "content": "first of all"}, USER, {"role": role, "content": "be brief"}]
    sent = gpt(street, {"messages": history}).sent
    assert sent["system"] == "first of all" and [m["role"] for m in sent["messages"]] == ["user"]
    assert "be brief" in json.dumps(sent["messages"])
    only = gpt(street, {"messages": history[:1]})
    assert only.status == 400 or only.sent["messages"]


def test_28_on_passthrough_it_stays_where_it_is(street: Street) -> None:
    body = ASK | {"messages": [USER, MIDWAY]}
    assert street.ask("messages", "messages", body, OK_MESSAGES).sent == body
