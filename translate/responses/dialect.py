"""OpenAI Responses, as the rest of the program knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from translate.counting import usage
from translate.dialect import Asks, Dialect, Errors, Marks, TokenCounting
from translate.endpoint import Endpoint
from translate.failures import openai_errors
from translate.failures.errors import BadRequest
from translate.json import wire
from translate.json.json_fields import Body
from translate.responses import compaction, fault, foreign_reasoning, media, replay, search_reply
from translate.responses.decode_request import decode
from translate.responses.decode_stream import Decoder
from translate.responses.encode_request import SEARCHERS, encode
from translate.responses.encode_stream import KEEPALIVE, Encoder
from translate.responses.items import echo
from translate.responses.reply import broken, collect, explode
from translate.responses.text_turns import said
from translate.responses.usage import of_event, read_usage
from translate.responses.words import WORDS

_OPENS = re.compile(
    rb'(?:\{\s*"type"\s*:\s*")?response\.(?:created|queued|in_progress|content_part\.added|(output_item\.added))\b'
)
_MESSAGE = re.compile(rb'"type"\s*:\s*"message"')
UNSERVED = (
    (
        re.compile(r"/v1/conversations(?:/.*)?"),
        "conversations are not kept: build on a reply by previous_response_id, or send the whole input",
    ),
    (
        re.compile(r"/v1/(?:assistants|threads)(?:/.*)?"),
        "assistants and their threads are not kept: OpenAI has replaced them by /v1/responses, which is served",
    ),
)
"""Where the SDKs keep what a model is to be told again."""

_ENDED = rb"response\.(?:completed|failed|incomplete|cancelled|done)"


def _looks_like(body: Body, headers: Mapping[str, str]) -> bool:
    return "input" in body


def _opens(name: bytes, data: bytes) -> bool:
    opens = _OPENS.match(name or data)
    return opens is not None and (opens[1] is None or _MESSAGE.search(data) is not None)


def _check(body: Body) -> None:
    given = body.get("input", [])
    if not isinstance(given, str | list):
        raise BadRequest("input: a text, or a list of items", "input")


def _counted(count: int) -> bytes:
    return wire.dumps({"object": "response.input_tokens", "input_tokens": count})


RESPONSES = Dialect(
    name="responses",
    endpoints=(
        Endpoint("", "/v1/responses", "responses"),
        Endpoint("count", "/v1/responses/input_tokens", "responses/input_tokens"),
        Endpoint("compact", "/v1/responses/compact", "responses/compact"),
        Endpoint("files", "/v1/files", "files", untranslated=True, relayed=True),
    ),
    decode_request=decode,
    encode_request=encode,
    decoder=Decoder,
    encoder=Encoder,
    explode=explode,
    collect=collect,
    usage=usage.UsageReader(of_event, read_usage),
    words=WORDS,
    asks=Asks((b'"max_output_tokens"',)),
    errors=Errors(openai_errors.body, fault.event, openai_errors.status, fault.last),
    searchers=SEARCHERS,
    compaction=compaction.COMPACTION,
    search_reply=search_reply.parts,
    calls_after_search=True,
    says_client_search=True,
    without_foreign=foreign_reasoning.without,
    summaries_in_words=foreign_reasoning.summaries_in_words,
    marks=Marks(
        terminal=re.compile(rb'"type"\s*:\s*"(?:%b|error)"' % _ENDED),
        last=re.compile(rb'"type"\s*:\s*"%b"' % _ENDED),
        refusal=re.compile(rb'"type"\s*:\s*"(response\.refusal\.\w+|refusal)"|"reason"\s*:\s*"content_filter"'),
        content=re.compile(rb'"type"\s*:\s*"response\.(output_item\.done|[a-z_.]*delta)"'),
        ping=KEEPALIVE,
        long_terminal=re.compile(rb'"type"\s*:\s*"%b"' % _ENDED),
        head_bytes=fault.HEAD_BYTES,
    ),
    shows=media.shows,
    carries=("messages", "chat"),
    counting=TokenCounting(_check, _counted),
    echo=echo,
    unserved=UNSERVED,
    looks_like=_looks_like,
    usual={
        "user": "doctor",
        "prompt_cache_key": "doctor",
        "store": False,
        "include": ["reasoning.encrypted_content"],
    },
    stores=True,
    wants_turns=True,
    as_stream=replay.stream,
    as_whole=replay.whole_in,
    text_turns=said,
    opens=_opens,
    fails=fault.of_failed,
    broken=broken,
    keeps_failed=True,
)
