"""The official SDKs' clients for the clouds as the oracle: for the same request, the proxy sends what they send.

A client of Anthropic's API asks the proxy, and the cloud's own client asks the recording upstream: the same method,
path and body arrive, and signatures that botocore finds right.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.lib.aws import _auth as sdk_auth

from tests.gateway.clouds import signatures
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

MODELS = {
    "bedrock": ["us.anthropic.claude-opus-5-5-20260930-v1:0", "anthropic.claude-x",
                "arn:aws:bedrock:us-east-1:123:application-inference-profile/abc"],
    "vertex": ["claude-opus-5-5@20260930", "claude-x"],
    "foundry": ["claude-opus-5-5", "my-deployment"],
}  # fmt: skip
HI: list[dict[str, Any]] = [{"role": "user", "content": 'Hi \u00fc \\ " \u2028'}]
SCHEMA = {"type": "object", "properties": {"stream": {"type": "string"}}}
TOOL = {"name": "f", "description": "d", "input_schema": SCHEMA}
BODIES: list[dict[str, Any]] = [
    {"messages": HI},
    {"messages": HI, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    {"messages": HI, "tools": [TOOL], "tool_choice": {"type": "auto"}},
    {"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 2000}, "stop_sequences": ["\n\nHuman:"]},
    {"messages": [*HI, {"role": "assistant", "content": [{"type": "text", "text": '"model": "m", "stream": true,'}]},
                  {"role": "user", "content": "go on"}], "metadata": {"user_id": "u"}},
    {"messages": HI, "betas": ["context-1m-2025-08-07", "interleaved-thinking-2025-05-14"]},
]  # fmt: skip
CASES = [
    (cloud, model, body, stream)
    for cloud, models in MODELS.items() for number, body in enumerate(BODIES)
    for model in (models[number % len(models)],) for stream in (False, True)
]  # fmt: skip
COUNTS = [("vertex", "claude-x"), ("foundry", "claude-x"), ("vertex", "claude-y@1"), ("foundry", "b")]
WORKING = 40


def answers(request: Request) -> Answer:
    return Answer.json({"type": "error", "error": {"type": "invalid_request_error", "message": "recorded"}}, 400)


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with Upstream(answers) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def house(up: Upstream) -> Iterator[House]:
    at = f"base_url = {up.url}\napi_key = "
    text = (
        f"[upstream bedrock]\npreset = bedrock-invoke\nregion = us-east-1\n{at}aws:env\n"
        f"[upstream vertex]\npreset = vertex\nproject = p-1\nregion = us\n{at}token-0123456789\n"
        f"[upstream foundry]\npreset = foundry\n{at}key-0123456789\n"
    )
    environ = {"AWS_ACCESS_KEY_ID": signatures.KEYS.access_key, "AWS_SECRET_ACCESS_KEY": signatures.KEYS.secret_key,
               "AWS_SESSION_TOKEN": signatures.KEYS.token}  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environ.items():
            patched.setenv(name, str(value))
        with House(text) as started:
            yield started


class Session:
    """What the SDK wants of boto3."""

    region_name = "us-east-1"

    def get_credentials(self) -> Any:
        return signatures.KEYS


@contextlib.contextmanager
def cloud_client(cloud: str, up: Upstream) -> Iterator[Any]:
    more: dict[str, Any] = {"base_url": up.url, "max_retries": 0}
    client: Any
    if cloud == "bedrock":
        client = anthropic.AnthropicBedrock(aws_region="us-east-1", aws_access_key="a", aws_secret_key="b", **more)
    elif cloud == "vertex":
        client = anthropic.AnthropicVertex(project_id="p-1", region="us", access_token="token-0123456789", **more)
    else:
        more["base_url"] += "/anthropic"
        client = anthropic.AnthropicFoundry(api_key="key-0123456789", **more)
    with client:
        yield client


def asked(client: Any, body: dict[str, Any], up: Upstream) -> Request:
    """What arrives of a request."""
    before = len(up.requests)
    with pytest.raises(anthropic.BadRequestError, match="recorded"):
        (client.beta if "betas" in body else client).messages.create(max_tokens=4000, **body)
    (request,) = up.requests[before:]
    return request


@pytest.mark.parametrize(("cloud", "model", "body", "stream"), CASES)
def test_the_same_arrives(
    up: Upstream,
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    cloud: str,
    model: str,
    body: dict[str, Any],
    stream: bool,
) -> None:
    monkeypatch.setattr(sdk_auth, "_get_session", lambda **_: Session())
    body = body | {"stream": stream}
    with cloud_client(cloud, up) as client:
        theirs = asked(client, body | {"model": model}, up)
    with anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0) as client:
        ours = asked(client, body | {"model": f"{cloud}/{model}"}, up)
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert json.loads(ours.body) == json.loads(theirs.body)
    if cloud == "bedrock":
        for request in (theirs, ours):
            assert "x-amz-security-token" in signatures.check(request, "bedrock", "us-east-1")
        return
    name = "authorization" if cloud == "vertex" else "x-api-key"
    assert ours.headers[name] == theirs.headers[name]
    assert ours.headers.get("anthropic-beta") == theirs.headers.get("anthropic-beta")


@pytest.mark.parametrize(("cloud", "model"), COUNTS)
def test_counts_are_asked_for_as_they_ask(up: Upstream, house: House, cloud: str, model: str) -> None:
    found = []
    with (
        cloud_client(cloud, up) as client,
        anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0) as plain,
    ):
        for each, name in ((client, model), (plain, f"{cloud}/{model}")):
            with pytest.raises(anthropic.BadRequestError):
                each.messages.count_tokens(model=name, messages=HI, tools=[TOOL])
            found.append(up.requests[-1])
    theirs, ours = found
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert json.loads(ours.body) == json.loads(theirs.body)


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(CASES) + len(COUNTS) >= WORKING
