"""Histories for the lessons: their parts in one line each, and what holds of every repaired one."""

from __future__ import annotations

import base64
import re
from typing import Any

from tests.lessons.street import ASK, Json, Reply, Street, completion, message

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
