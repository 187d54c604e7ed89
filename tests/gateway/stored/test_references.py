"""Files and cached contents that a request names: each client's are its own, in every protocol and form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from gateway.stored import references
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

ANN, BOB = "ann-0123456789abcdef", "bob-0123456789abcdef"
CLIENTS = f"[client ann]\nkey = {ANN}\n[client bob]\nkey = {BOB}\n"
REPLIES: dict[str, Any] = {
    "messages": {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
                 "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}},
    "chat": {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]},
    "responses": {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
                  "output": []},
    "gemini": {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}]},
    "images": {"created": 1, "data": [{"b64_json": "aGk="}]},
}  # fmt: skip
PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses",
         "gemini": "/v1beta/models/m:generateContent", "images": "/v1/images/edits"}  # fmt: skip


def said(content: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}


def file(id: str) -> dict[str, Any]:
    return {"type": "file", "file_id": id}


NAMING = {
    "a document": ("messages", said([{"type": "document", "source": file("ID")}])),
    "a picture": ("messages", said([{"type": "image", "source": file("ID")}])),
    "a result": ("messages", said([{"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "image", "source": file("ID")}]}])),
    "parts": ("messages", said([{"type": "document", "source": {"type": "content", "content": [
        {"type": "image", "source": file("ID")}]}}])),
    "an upload": ("messages", said([{"type": "container_upload", "file_id": "ID"}])),
    "a file": ("chat", said([{"type": "file", "file": {"file_id": "ID"}}])),
    "Mistral's file": ("chat", said([file("ID")])),
    "an input": ("responses", {"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_file", "file_id": "ID"}]}]}),
    "an image": ("responses", {"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_image", "file_id": "ID"}]}]}),
    "an output": ("responses", {"model": "m", "input": [{"type": "function_call_output", "call_id": "c", "output": [
        {"type": "input_image", "file_id": "ID"}]}]}),
    "a container": ("responses", {"model": "m", "input": "hi", "tools": [
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["ID"]}}]}),
    "a shell": ("responses", {"model": "m", "input": "hi", "tools": [
        {"type": "shell", "environment": {"type": "container_auto", "file_ids": ["ID"]}}]}),
    "a screen": ("responses", {"model": "m", "input": [{"type": "computer_call_output", "call_id": "c", "output": {
        "type": "computer_screenshot", "file_id": "ID"}}]}),
    "a mask": ("responses", {"model": "m", "input": "hi", "tools": [
        {"type": "image_generation", "input_image_mask": {"file_id": "ID"}}]}),
    "an edit": ("images", {"model": "m", "prompt": "hi", "images": [{"file_id": "ID"}]}),
    "an edit's mask": ("images", {"model": "m", "prompt": "hi", "images": [{"image_url": "data:image/png;base64,aGk="}],
                                  "mask": {"file_id": "ID"}}),
    "what is cached": ("gemini", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "cachedContent": "ID"}),
}  # fmt: skip


@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped"])
@pytest.mark.parametrize("what", NAMING)
def test_what_a_request_names_is_its_clients_own(what: str, escaped: bool) -> None:
    protocol, asked = NAMING[what]
    text = one_upstream("URL", "chat" if protocol == "images" else protocol) + CLIENTS
    with Upstream([Answer.json(REPLIES[protocol])] * 3) as up, House(text.replace("URL", up.url)) as house:
        store = house.proxy.service.response_store
        house.on_loop(lambda: store.went("file_ann", "ann", "up"))

        def status(key: str, id: str) -> int:
            raw = json.dumps(asked).replace("ID", id)
            if escaped:
                raw = raw.replace("file_id", "f\\u0069le_id").replace("cachedContent", "cached\\u0043ontent")
            return house.post(PATHS[protocol], raw.encode(), {"x-api-key": key})[0]

        assert status(ANN, "file_ann") == 200
        assert status(BOB, "file_ann") == 404 and status(BOB, "file_nobodys") == 404
        assert status(ANN, "file_nobodys") == 404 and len(up.requests) == 1


def test_one_client_may_name_whatever_its_upstream_has() -> None:
    with Upstream([Answer.json(REPLIES["messages"])]) as up, House(one_upstream(up.url, "messages")) as house:
        asked = said([{"type": "document", "source": file("file_of_the_console")}])
        assert house.post(PATHS["messages"], asked)[0] == 200


def test_what_tools_are_told_names_no_file() -> None:
    call = {"type": "tool_use", "id": "t", "name": "read", "input": {"type": "input_file", "file_id": "7"}}
    tool = {"name": "read", "input_schema": {"properties": {"file_id": {"type": "string"}}}}
    text = {"type": "text", "text": '{"type": "input_file", "file_id": "7"}'}
    made = {"type": "code_execution_output", "file_id": "file_made"}  # by the upstream, in an earlier turn
    assert references.named({"messages": [{"content": [call, text, made]}], "tools": [tool]}) == []
    said = {"type": "input_file", "file_id": "7", "images": [{"file_id": "7"}], "mask": {"file_id": "7"}}
    parts = [{"functionCall": {"name": "f", "args": said}}, {"functionResponse": {"name": "f", "response": said}}]
    calls = [{"function": {"name": "f", "arguments": said}}, {"type": "server_tool_use", "id": "s", "input": said}]
    messages = [{"role": "assistant", "tool_calls": calls, "content": calls}]
    assert references.named({"contents": [{"parts": parts}], "messages": messages}) == []


@pytest.mark.parametrize("body", [
    {"type": "tool_use", "input": [{"content": [{"type": "input_file", "file_id": "ID"}]}]},
    {"type": "tool_use", "container": {"file_ids": ["ID"]}},
    {"messages": [{"role": "user", "type": "tool_use", "content": [{"type": "file", "file": {"file_id": "ID"}}]}]},
    {"prompt": {"id": "p", "variables": {"source": {"type": "input_file", "file_id": "ID"}}}},
])  # fmt: skip
def test_no_word_hides_a_file(body: dict[str, Any]) -> None:
    """Many servers do not look at fields that they do not know."""
    assert references.named(body) == ["ID"]


MADE_THERE = {"bash_code_execution_output", "code_execution_output", "container_file_citation", "file_citation",
              "file_path"}  # fmt: skip
ELSEWHERE = {"BetaManagedAgentsFileResourceParams", "Result"}  # what is not served; a search's, made by the upstream
_PLACE = re.compile(r'^class (\w+)|^    (file_ids?): |^    type: .*Literal\["(\w+)"', re.MULTILINE)
NAMED_BY = {"file_id": {"type": "T", "file_id": "ID"}, "file_ids": {"container": {"type": "T", "file_ids": ["ID"]}}}
OF_NO_TYPE = {
    "FileFile": {"type": "file", "file": {"file_id": "ID"}},
    "ImageInputReferenceParam": {"images": [{"file_id": "ID"}]},
    "ImageGenerationInputImageMask": {"input_image_mask": {"file_id": "ID"}},
}


def test_every_place_that_the_sdks_have_for_a_file_is_known() -> None:
    """A new one, in a later SDK, is one more way to have the model read another client's file."""
    found: dict[str, tuple[str, str]] = {}
    for package, folders in ((openai, ("responses", "chat", ".")), (anthropic, (".", "beta"))):
        for folder in folders:
            for file in (Path(str(package.__file__)).parent / "types" / folder).glob("*param*.py"):
                if folder != "." or package is anthropic or file.name.startswith("image"):
                    found |= _places(file.read_text())
    assert {"file_ids", "file_id"} <= {field for field, _ in found.values()} and len(found) > 15
    for name, (field, kind) in found.items():
        if kind in MADE_THERE or name in ELSEWHERE:
            continue
        part = next((part for of, part in OF_NO_TYPE.items() if name.endswith(of)), None)
        if part is None:
            raw = json.dumps(NAMED_BY[field]).replace('"T"', json.dumps(kind))
            part = {"type": "document", "source": json.loads(raw)} if kind == "file" else json.loads(raw)
        assert references.named({"input": [part]}) == ["ID"], (name, field, kind)


def _places(text: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    name = field = kind = ""
    for match in [*_PLACE.finditer(text), None]:
        if match is None or match[1]:
            if field:
                found[name] = field, kind
            name, field, kind = match[1] if match else "", "", ""
        else:
            field, kind = match[2] or field, match[3] or kind
    return found


@pytest.mark.parametrize("odd", [
    {"type": ["input_file"], "file_id": "x"}, {"type": "file", "file": "x"}, {"type": "image", "source": ["x"]},
    {"container": {"file_ids": [1, None, {}]}}, {"type": "input_file", "file_id": 7}, {"cachedContent": ["x"]},
])  # fmt: skip
def test_odd_shapes_name_nothing(odd: dict[str, Any]) -> None:
    assert references.named(odd | {"messages": [odd]}) == []


def test_most_bodies_are_not_even_read() -> None:
    assert not references.may_be_in(json.dumps(said('the \x1b[1m file_id of "file_id" is <b>é</b>')).encode())
    assert references.may_be_in(b'{"f\\u0069le_id":"x"}')
