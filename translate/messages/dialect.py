"""Anthropic Messages, as the rest of the program knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from translate.counting import usage
from translate.dialect import Dialect, Errors, Http, MadeFiles, Marks, ModelListing, TokenCounting
from translate.endpoint import Endpoint
from translate.envelopes import clients
from translate.failures import capability, rate_headers
from translate.failures.errors import BadRequest
from translate.json import wire
from translate.json.json_fields import Body
from translate.messages import compaction, fault, foreign_reasoning, model_list
from translate.messages.decode_request import decode
from translate.messages.decode_stream import Decoder
from translate.messages.encode_request import SEARCHERS, encode
from translate.messages.encode_stream import PING, Encoder
from translate.messages.reply import TOOL, collect, explode, in_events, in_reply, of_search
from translate.messages.single_turns import said
from translate.messages.usage import of_event, read_usage
from translate.messages.words import WORDS
from translate.schemas import table

VERSION = "2023-06-01"  # said for clients that have no word for it; every field of ours is in it

# Claude before Opus 4.1 and Sonnet 4.5 answers 400 to a schema of the reply.
_WITHOUT_FORMATS = re.compile(
    r"claude-(?:instant|v?[1-3](?![0-9])|4-(?:opus|sonnet)|(?:opus|sonnet)-4(?:$|-0(?![0-9])|[-@][0-9]{8}))", re.I
)
_OPENS = re.compile(
    rb'\{\s*"type"\s*:\s*"(?:message_start"'
    rb'|content_block_start"\s*,\s*"index"\s*:\s*0\s*,\s*"content_block"\s*:\s*\{'
    rb'\s*"type"\s*:\s*"text"\s*,\s*"text"\s*:\s*""\s*[,}])'
)
_ONLY_HERE = ("system", "stop_sequences", "top_k", "output_config", "context_management")


def _asks(headers: Mapping[str, str]) -> bool:
    return "Anthropic-Version" in headers or ("X-Api-Key" in headers and "Authorization" not in headers)


def _looks_like(body: Body, headers: Mapping[str, str]) -> bool:
    tools = body.get("tools")
    own_tool = isinstance(tools, list) and any(isinstance(tool, dict) and "input_schema" in tool for tool in tools)
    return own_tool or "anthropic-version" in headers or any(field in body for field in _ONLY_HERE)


def _check(body: Body) -> None:
    if not isinstance(body.get("messages"), list):
        raise BadRequest("messages: field required, a list", "messages")


def _left_out(fields: list[str]) -> str:
    return f" ({capability.of_left(fields)})"


MESSAGES = Dialect(
    name="messages",
    endpoints=(
        Endpoint("", "/v1/messages", "messages"),
        Endpoint("count", "/v1/messages/count_tokens", "messages/count_tokens", optional=True),
        *clients.ENDPOINTS,
        Endpoint("files", "/v1/files", "files", untranslated=True, relayed=True),
    ),
    decode_request=decode,
    encode_request=encode,
    decoder=lambda policy: Decoder(),
    encoder=Encoder,
    explode=lambda body, policy: explode(body),
    collect=collect,
    usage=usage.UsageReader(of_event, read_usage, in_pieces=False),
    words=WORDS,
    schemas=table.Writes(table.ANTHROPIC, table.ANTHROPIC, formats_enforced=True, never=_WITHOUT_FORMATS),
    errors=Errors(fault.body, fault.event, fault.status, fault.last, _left_out),
    searchers=SEARCHERS,
    compaction=compaction.COMPACTION,
    search_reply=of_search,
    unserved=clients.UNSERVED,
    without_foreign=foreign_reasoning.without,
    summaries_in_words=foreign_reasoning.summaries_in_words,
    pauses=True,
    wants_turns=True,
    marks=Marks(
        # Some servers leave message_stop out.
        terminal=re.compile(rb'"type"\s*:\s*"(message_stop|error)"|"delta"\s*:\s*\{[^{}]*"stop_reason"\s*:\s*"[^"]'),
        last=re.compile(rb'"type"\s*:\s*"message_stop"'),
        refusal=re.compile(rb'"stop_reason"\s*:\s*"refusal"'),
        content=re.compile(rb'"type"\s*:\s*"content_block_start"'),
        ping=PING,
    ),
    http=Http(
        auth=("x-api-key", ""),
        headers={"anthropic-version": VERSION},
        betas="anthropic-beta",
        any_header=True,
        rate_headers=rate_headers.anthropic,
        asks=_asks,
    ),
    models=ModelListing(model_list.row, model_list.page, query="?limit=1000"),
    carries=("responses", "chat"),
    counting=TokenCounting(_check, lambda count: wire.dumps({"input_tokens": count})),
    looks_like=_looks_like,
    usual={"metadata": {"user_id": "doctor"}, "top_k": 5},
    thread_mark=b'"thread"',
    aside=frozenset(("metadata",)),
    single_turns=said,
    made_files=MadeFiles(TOOL, in_events, in_reply),
    opens=lambda name, data: name == b"message_start" or _OPENS.match(data) is not None,
)
