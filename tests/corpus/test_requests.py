"""Every recorded request crosses to the other protocol, and asks the same there.

Each body decodes, encodes to the other protocol, is valid by the official SDK's own parameter types, and
keeps its texts, calls, results, media, tools and settings: what is missing must be named in `dropped`. And
each comes home: into the neutral form and out of it in its own protocol it is the same request. What is
refused stands in a table, by the words of the refusal, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from tests.conftest import traffic_dir
from tests.support import asking, corpus, lacking, params
from tests.support.corpus import Exchange
from translate import compaction, dialects, pair
from translate.conversation import Conversation
from translate.failures.errors import BadRequest
from translate.schemas import offer
from translate.target import Encoded, Policy, Protocol, Target
from translate.tools import answer_tool, provider_tools

ASKING = {"messages": asking.of_messages, "chat": asking.of_chat}
NORMAL = {"messages": asking.normal_messages, "chat": asking.normal_chat}
PROTOCOL: dict[str, Protocol] = {corpus.MESSAGES: "messages", corpus.CHAT: "chat"}
MODEL: dict[Protocol, str] = {"messages": "claude-opus-5-5", "chat": "gpt-5.5"}  # of the target

# What cannot cross and must not be lost: a refusal that names the field. (pattern of its words, why)
REFUSED = [
    (r"input_audio|audio", "Messages takes no audio"),
    (r"video_url", "Messages takes no video"),
    (r"^Invalid 'n': only 1", "Messages gives one answer"),
    (r"file id .* belongs to another|the document .* cannot be sent", "bytes that only the first provider has"),
]
# Where the way home is not the identity on purpose: (pattern of the difference, why).
CHANGED_AT_HOME: list[tuple[str, str]] = [
    (r"stream_options", "usage is always asked for, to be counted"),
]


def refused(error: BadRequest) -> bool:
    return any(re.search(pattern, error.message) for pattern, _ in REFUSED)


def body_of(exchange: Exchange) -> dict[str, Any]:
    """Azure names the model in the path. The gateway routes by it, so it is always there."""
    return {"model": "m"} | exchange.request


def frozen(value: Any) -> str:
    return json.dumps(value)


def crossed(client: Protocol, body: dict[str, Any], policy: Policy) -> Encoded:
    """Crosses by hand, to see that neither step changes what it reads."""
    upstream: Protocol = "chat" if client == "messages" else "messages"
    before = frozen(body)
    conversation: Conversation = dialects.of(client).decode_request(body)
    assert frozen(body) == before, "decode changed the body"
    speaks, writes = dialects.of(client), dialects.of(upstream)
    conversation, _ = speaks.compaction.wished(conversation)
    conversation, lost = compaction.opened(conversation, speaks.compaction.keeps_users)
    target = Target(MODEL[upstream], policy)
    if body.get("functions") and not body.get("tools"):  # of which a message calls one
        conversation = replace(conversation, parallel_tools=False)
    if offer.cannot_say(conversation.output, writes.schemas, target.model):
        conversation, _ = answer_tool.offered(conversation, any_root=True)
    seen = repr(conversation)
    own = provider_tools.crossed(conversation, speaks.says_client_search, policy.deferred_tools).conversation
    offered = offer.offer(own, False, writes.schemas, target)
    assert repr(conversation) == seen, "the offer changed the conversation"
    lost = [*offered.dropped, *lost]
    encoded: Encoded = writes.encode_request(offered.conversation, target)
    assert repr(conversation) == seen, "encode changed the conversation"
    assert frozen(body) == before, "encode changed the body"
    again = pair.request(client, upstream, body, Target(MODEL[upstream], policy))
    assert (again.body, again.dropped, again.tool_names) == (
        encoded.body,
        encoded.dropped + lost,
        encoded.tool_names,
    )
    encoded.dropped = again.dropped
    assert json.loads(encoded.json()) == json.loads(json.dumps(encoded.body))
    return encoded


def problems(client: Protocol, body: dict[str, Any], policy: Policy = Policy()) -> tuple[list[str], list[str]]:
    """(what is wrong with the crossing, what it says it dropped)."""
    encoded = crossed(client, body, policy)
    upstream: Protocol = "chat" if client == "messages" else "messages"
    check = params.check_chat if upstream == "chat" else params.check_messages
    want, got = ASKING[client](body), ASKING[upstream](encoded.body)
    found = [f"types: {p}" for p in check(encoded.body)]
    found += asking.missing(want, got, encoded.dropped, encoded.tool_names)
    found += [f"neither said nor reported: {kind}" for kind in unreported(want, body, encoded)]
    assert encoded.body["model"] == MODEL[upstream]
    assert len(set(encoded.dropped)) == len(encoded.dropped)
    return found, encoded.dropped


def unreported(want: asking.Asking, body: dict[str, Any], encoded: Encoded) -> list[str]:
    """Foreign tools and blocks that are not in `dropped`, and (blocks) of which no word is in the new body."""
    out = []
    written = json.dumps(encoded.body)
    for kind in want.foreign - set(encoded.dropped):
        if "web_search" in kind and '"type": "web_search' in written:
            continue  # a tool of the upstream's own
        blocks = [block for block in walk(body["messages"]) if block.get("type") == kind]
        said = [leaf for block in blocks for inner in walk(block) for leaf in words(inner)]
        if not any(json.dumps(leaf)[1:-1] in written for leaf in said):
            out.append(kind)
    return out


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a JSON value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


def words(block: dict[str, Any]) -> list[str]:
    named = (block.get(key) for key in ("text", "title", "url", "tool_name", "stdout", "content", "data", "error_code"))
    tool = [block["name"]] if block.get("type") == "tool_reference" and "name" in block else []
    return [word for word in [*named, *tool] if isinstance(word, str) and word]


ASKED = corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: isinstance(e.request, dict) and not e.failed)
BAD = corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: isinstance(e.request, dict) and e.failed)


@pytest.mark.parametrize("exchange", ASKED)
def test_a_request_crosses(exchange: Exchange) -> None:
    client = PROTOCOL[exchange.api]
    try:
        found, _ = problems(client, body_of(exchange))
    except BadRequest as error:
        assert refused(error), error.message
        return
    assert found == []


@pytest.mark.parametrize("exchange", BAD)
def test_a_request_that_its_provider_refused_does_not_break_us(exchange: Exchange) -> None:
    """It crosses validly (the next provider may take it), or is refused in words."""
    try:
        crossed(PROTOCOL[exchange.api], body_of(exchange), Policy())
    except BadRequest as error:
        assert error.message and error.status == 400


@pytest.mark.parametrize("exchange", ASKED)
def test_a_request_comes_home(exchange: Exchange) -> None:
    protocol, body = PROTOCOL[exchange.api], body_of(exchange)
    try:
        conversation = dialects.of(protocol).decode_request(body)
    except BadRequest as error:
        assert refused(error), error.message
        return
    policy = Policy(
        reasoning_history="true",
        max_tokens_field="max_completion_tokens" if "max_completion_tokens" in body else "max_tokens",
    )
    encoded = dialects.of(protocol).encode_request(conversation, Target(body["model"], policy))
    assert encoded.dropped == []
    read, normal = ASKING[protocol], NORMAL[protocol]
    assert asking.missing(read(body), read(encoded.body), [], encoded.tool_names) == []
    if "functions" not in body:
        found = asking.unlike(normal(body), normal(encoded.body))
        assert [d for d in found if not any(re.search(pattern, d) for pattern, _ in CHANGED_AT_HOME)] == []
    if body.get("reasoning_effort"):
        assert encoded.body["reasoning_effort"] == body["reasoning_effort"]


POLICIES = {
    "clamped": Policy(max_tokens=100, max_tokens_field="max_completion_tokens", stream_options=False),
    "reasoning goes back": Policy(reasoning_history="true"),
    "developer": Policy(developer_role=True, reasoning_history="tool_calls", reasoning="think_tags"),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
@pytest.mark.parametrize(
    "exchange",
    corpus.params(
        corpus.MESSAGES,
        corpus.CHAT,
        keep=lambda e: isinstance(e.request, dict) and not e.failed and len(json.dumps(e.request)) < 8000,
    ),
)
def test_upstream_habits_change_no_words(exchange: Exchange, policy: Policy) -> None:
    client = PROTOCOL[exchange.api]
    try:
        found, _ = problems(client, body_of(exchange), policy)
    except BadRequest as error:
        assert refused(error), error.message
        return
    own_words = (
        "max_tokens:",
        "types: messages",
    )  # the clamp; reasoning fields that OpenAI's types do not know
    assert [p for p in found if not p.startswith(own_words)] == []


# ------------------------------------------------------------------------------- requests of real clients


def client_requests() -> list[Any]:
    place = traffic_dir()
    folder = place.parent / "clients" / "requests" if place else None
    names = sorted(folder.glob("*.json")) if folder and folder.is_dir() else []
    found = []
    for path in names:
        if re.match("(?!.*count_tokens)(cc|opencode-(a|c)|aider)", path.stem):
            recorded = json.loads(path.read_bytes())
            body = recorded.get("body") or recorded
            if isinstance(body, dict) and "messages" in body:
                found.append(pytest.param(path.stem, body, id=path.stem))
    return found or [pytest.param("", {}, id="none", marks=pytest.mark.skip(reason=lacking.CLIENTS))]


@pytest.mark.parametrize(("name", "body"), client_requests())
def test_a_real_clients_request_crosses(name: str, body: dict[str, Any]) -> None:
    client: Protocol = "chat" if "chat" in name else "messages"
    found, _ = problems(client, body)
    assert found == []
    assert "x-anthropic-billing-header" not in pair.request(client, "chat", body, Target("m")).json().decode()
