"""What a Responses client has said, its response says again; clients read there what they have got."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.support import sdk_types
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate import dialects, pair
from translate.conversation import Start, Stop, Usage
from translate.target import Asked

OBJECT = '{"a":"b"}'
COMPLETION = {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
              "choices": [{"index": 0, "message": {"role": "assistant", "content": OBJECT}, "finish_reason": "stop"}],
              "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": {"content": OBJECT}, "finish_reason": "stop"}]}  # fmt: skip
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
FORM = {"type": "json_schema", "name": "n", "schema": SCHEMA}
PLAIN = {"format": {"type": "text"}}
CHOICE = {"type": "function", "name": "f"}


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ({"text": {"format": FORM}}, {"text": {"format": FORM | {"description": None, "strict": False}}}),
        ({"text": {"format": FORM | {"strict": True}, "verbosity": "low"}},
         {"text": {"format": FORM | {"description": None, "strict": True}, "verbosity": "low"}}),
        ({"text": {"format": {"type": "json_object"}}}, {"text": {"format": {"type": "json_object"}}}),
        ({"text": {"verbosity": "high"}}, {"text": PLAIN | {"verbosity": "high"}}),
        ({"text": None}, {"text": PLAIN}),
        ({"metadata": {"job": "7"}}, {"metadata": {"job": "7"}}),
        ({"metadata": None}, {"metadata": {}}),
        ({"reasoning": {"effort": "high"}}, {"reasoning": {"effort": "high", "summary": None}}),
        ({"reasoning": {"effort": None, "summary": "auto"}}, {"reasoning": {"effort": None, "summary": "auto"}}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"tool_choice": CHOICE}, {"tool_choice": CHOICE}),
        ({"truncation": "auto"}, {"truncation": "auto"}),
    ],
)  # fmt: skip
def test_what_is_said_again(said: dict[str, Any], again: dict[str, Any]) -> None:
    responses = dialects.of("responses")
    asked = Asked("m", "k", echo=responses.echo(said))
    raw = responses.encoder(asked).emit([Start(), Stop("end", Usage())])
    assert sdk_types.stream_problems("responses", raw) == []
    told = [json.loads(line[6:])["response"] for line in raw.split(b"\n") if line.startswith(b"data: ")]
    whole = json.loads(pair.Crossing("responses", "chat", asked).whole(json.dumps(COMPLETION).encode()))
    assert sdk_types.body_problems("responses", json.dumps(whole).encode()) == []
    for response in (*told, whole):
        assert {key: response[key] for key in again} == again


@pytest.mark.parametrize("streams", [True, False])
def test_a_client_reads_what_it_has_got(streams: bool) -> None:
    reply = Answer.sse([b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(CHUNK).encode()]) if streams else (
        Answer.json(COMPLETION))  # fmt: skip
    asks: dict[str, Any] = {"model": "m", "input": "hi", "metadata": {"job": "7"}, "text": {"format": FORM}}
    with Upstream([reply]) as up, House(one_upstream(up.url, "chat")) as house:
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key="k", max_retries=0) as client:
            if streams:
                got = list(client.responses.create(**asks, stream=True))[-1].response
            else:
                got = client.responses.create(**asks)
            kept = client.responses.retrieve(got.id)
    for response in (got, kept):
        assert response.output_text == OBJECT and response.metadata == {"job": "7"}
        assert response.text.format.type == "json_schema" and response.text.format.name == "n"
