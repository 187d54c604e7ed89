"""Every body that leaves fits the parameter types of its upstream's SDK, with all that the client's SDK can say in it.

Strict servers check more than OpenAI and Anthropic do: vLLM and others read a request into these very types.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import params, sample
from tests.support.crossed import MODELS, base, crossed, say
from translate import pair
from translate.target import Encoded, Policy, Protocol, Target

Json = dict[str, Any]

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")
KNOWN = {protocol: sample.said(protocol) for protocol in PROTOCOLS}
TRIALS = [
    (client, upstream, name)
    for client in PROTOCOLS
    for upstream in PROTOCOLS
    if client != upstream
    for name in KNOWN[client]
]


@pytest.mark.parametrize(("client", "upstream", "name"), TRIALS)
def test_whatever_is_said(client: Protocol, upstream: Protocol, name: str) -> None:
    sent = crossed(client, upstream, say(client, name, KNOWN[client][name]).after)
    if isinstance(sent, Encoded):
        assert params.CHECKS[upstream](sent.body) == []


SAID: dict[str, tuple[Protocol, list[Json], Json]] = {
    "text": (
        "messages",
        [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        {"type": "message", "role": "assistant", "content": "a\n\nb"},
    ),
    "text with citations": (
        "messages",
        [{"role": "assistant", "content": [{"type": "text", "text": "a", "citations": [{"type": "x"}]},
                                           {"type": "text", "text": "b"}]}],
        {"type": "message", "role": "assistant", "content": "ab"},
    ),
    "a refusal": (
        "chat",
        [{"role": "assistant", "content": "a", "refusal": "no"}],
        {"type": "message", "role": "assistant", "content": "a\n\nno"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_the_model_said_goes_to_responses_as_a_string(name: str) -> None:
    client, history, item = SAID[name]
    hello = {"role": "user", "content": "hi"}
    sent = crossed(client, "responses", base(client) | {"messages": [hello, *history, hello]})
    assert isinstance(sent, Encoded)
    assert sent.body["input"][1] == item  # type: ignore[index]


def test_a_server_that_speaks_responses_loosely_is_told_so_too() -> None:
    """What has the id that the types want stays as it was."""
    said = [{"type": "output_text", "text": "a", "annotations": []}]
    whole = {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": said}
    short = {"type": "message", "role": "assistant", "phase": "commentary", "content": said}
    picture = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "http://x/a.png"}]}
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]
    body: Json = {"model": "m", "input": [picture, whole, thought, short], "tools": tools}
    sent = pair.request("responses", "responses", body, Target("m", Policy(rebuild=True)))
    assert sent.body["input"][1] == whole  # type: ignore[index]
    assert sent.body["input"][3] == short | {"content": "a"}  # type: ignore[index]
    assert params.check_responses(sent.body) == []


@pytest.mark.parametrize("client", ["messages", "chat"])
def test_thoughts_have_an_id(client: Protocol) -> None:
    thinking: Json = {"role": "assistant", "content": "so", "reasoning_content": "hm"}
    if client == "messages":
        blocks = [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "so"}]
        thinking = {"role": "assistant", "content": blocks}
    body = base(client) | {"messages": [{"role": "user", "content": "hi"}, thinking, {"role": "user", "content": "go"}]}
    target = Target(MODELS["responses"], Policy(reasoning_history="true"))
    first, again = (pair.request(client, "responses", body, target).body for _ in range(2))
    assert first == again and params.check_responses(first) == []
    assert first["input"][1]["id"].startswith("rs_")  # type: ignore[index]
