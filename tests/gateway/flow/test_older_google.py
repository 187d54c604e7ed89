"""Google's older Python library (google-generativeai) by REST: streams as one array, enumerations by their numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.flow.test_gemini import CALLING, PROTOCOLS, house, scripted
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import house_text, streams
from translate import pair
from translate.gemini.array import Elements
from translate.target import Target

QUERY = "?%24alt=json%3Benum-encoding%3Dint"
ASK: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "safetySettings": [{"category": 7, "threshold": 4}],
    "generationConfig": {"responseMimeType": "application/json",
                         "responseSchema": {"type": 5, "items": {"type": 1}}, "responseModalities": [1]},
    "tools": [{"functionDeclarations": [{"name": "add", "parameters": {"type": 6, "required": ["a"], "properties": {
        "a": {"type": 3}, "b": {"type": 2}, "c": {"type": 4, "nullable": True}, "type": {"type": 1}}}}]}],
}  # fmt: skip


def elements(raw: str) -> list[Any]:
    """The objects of an array, as that library reads it: it takes nothing before the bracket or after the last one."""
    found: list[Any] = []
    level, start, quoted, escaped = 0, 0, False, False
    for at, char in enumerate(raw):
        assert level or char == "[" and at == 0, f"{char!r} at {at} is outside of the array"
        if quoted:
            quoted = char != '"' or escaped
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "[{":
            level += 1
            start = at if level == 2 else start
        elif char in "]}":
            level -= 1
            if level == 1:
                found.append(json.loads(raw[start : at + 1]))
    assert level == 0
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_is_an_array_and_nothing_else(protocol: str) -> None:
    with scripted(protocol, CALLING) as up, house(up, protocol) as here:
        status, _, raw = here.post(f"/v1beta/models/m:streamGenerateContent{QUERY}", ASK)
        assert status == 200, raw
    parts = [part for each in elements(raw.decode()) for part in each["candidates"][0]["content"].get("parts", ())]
    assert "".join(part.get("text", "") for part in parts if not part.get("thought")) == "I look ➜ now."
    assert any(part.get("functionCall", {}).get("name") == "get_weather" for part in parts)


def test_a_sign_of_life_stands_within_the_array() -> None:
    said = b'data: {"a":[1,"]"]}\n\n'
    framing = Elements()
    assert elements((framing.ping() + framing.ping() + framing.feed(said) + framing.ping() + framing.feed(said)
                     + framing.end()).decode()) == [{"a": [1, "]"]}] * 2  # fmt: skip
    framing = Elements()
    assert elements((framing.ping() + framing.end()).decode()) == [] and Elements().end() == b"[]"


def test_a_slow_stream_begins_with_the_bracket() -> None:
    begun, *rest = streams("late")
    gate = Gate()
    with Upstream(lambda request: Answer.sse([begun, gate, *rest])) as up:
        with House(house_text("* = a", "[server]\nping_seconds = 0.1\n", a=up.url)) as here, here.connect() as client:
            client.send("POST", f"/v1beta/models/m:streamGenerateContent{QUERY}", ASK)
            here.wait(lambda p: any(flow.writer.written for flow in p.service.flows))
            gate.open()
            status, _, raw = client.reply()
    said = [part["text"] for each in elements(raw.decode()) for part in each["candidates"][0]["content"]["parts"]]
    assert status == 200 and "".join(said) == "late"


@pytest.mark.parametrize("upstream", ["chat", "responses", "messages"])
def test_enumerations_may_be_numbers(upstream: Any) -> None:
    for number, mode in enumerate(("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")):
        by_number, by_name = (
            pair.request("gemini", upstream, ASK | {"toolConfig": {"functionCallingConfig": {"mode": each}}} | extra,
                         Target("gpt-9"))
            for each, extra in ((number, {}), (mode, NAMED))
        )  # fmt: skip
        assert by_number.body == by_name.body and by_number.dropped == by_name.dropped


NAMED: dict[str, Any] = {
    "generationConfig": {"responseMimeType": "application/json",
                         "responseSchema": {"type": "ARRAY", "items": {"type": "STRING"}},
                         "responseModalities": ["TEXT"]},
    "tools": [{"functionDeclarations": [{"name": "add", "parameters": {"type": "OBJECT", "required": ["a"],
        "properties": {"a": {"type": "INTEGER"}, "b": {"type": "NUMBER"}, "c": {"type": "BOOLEAN", "nullable": True},
                       "type": {"type": "STRING"}}}}]}],
}  # fmt: skip
