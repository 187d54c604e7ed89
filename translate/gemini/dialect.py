"""Google's Gemini API, as the rest of the program knows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from translate.counting import usage
from translate.dialect import Asks, Dialect, Errors, Http, Marks, ModelListing, TokenCounting
from translate.endpoint import Endpoint
from translate.failures.errors import BadRequest
from translate.gemini import fault, foreign_reasoning, inner_model, model_list, parts, proofs
from translate.gemini.array import framed
from translate.gemini.decode_request import decode
from translate.gemini.decode_stream import Decoder
from translate.gemini.encode_request import SEARCHERS, encode
from translate.gemini.encode_stream import PING, Encoder
from translate.gemini.fields import camel, flag, section
from translate.gemini.reply import collect, explode
from translate.gemini.usage import of_event, read_usage
from translate.gemini.words import WORDS
from translate.json import wire
from translate.json.json_fields import Body
from translate.schemas import table

VERSIONS = ("v1beta", "v1", "v1alpha")

UNTRANSLATED = ("embedContent", "batchEmbedContents")
COUNTED = "totalTokens"
LISTS = ("/v1beta/models", "/v1alpha/models")

_REFUSALS = rb"SAFETY|RECITATION|BLOCKLIST|PROHIBITED_CONTENT|SPII|LANGUAGE|MODEL_ARMOR|IMAGE_\w+"


CACHED_INSTEAD = "send the contents in each request, whose beginning the provider caches by itself"
UNSERVED = (
    (
        re.compile(r"(?:/upload/\w+|/v1(?:beta|alpha))/files(?:/.*)?"),
        "files are not kept for clients of the Gemini API: send inlineData, or upload the file at "
        "generativelanguage.googleapis.com and name it in fileData",
    ),
    (
        re.compile(r"/v1(?:beta1?|alpha)?/(?:projects/[^/]+/locations/[^/]+/)?cachedContents(?:/.*)?"),
        CACHED_INSTEAD,
    ),
    (
        re.compile(r"/v1(?:beta|alpha)?/interactions(?:/.*)?"),
        "interactions are not kept: send the contents to /v1beta/models/MODEL:generateContent",
    ),
    (
        re.compile(
            r"/v1(?:beta1?|alpha)?/(?:.+:(?:batchGenerateContent|asyncBatchEmbedContent)|(?:projects/[^/]+/locations/[^/]+/)?"
            r"(?:batches|batchPredictionJobs)(?:[/:].*)?)"
        ),
        "batches are served in two other forms, whatever the model: in OpenAI's (/v1/files and /v1/batches) and in "
        "Anthropic's (/v1/messages/batches); or send each request to /v1beta/models/MODEL:generateContent",
    ),
)
"""Where the SDKs upload files, and keep contents, conversations and batches. /v1/files is OpenAI's and Anthropic's."""


def _endpoints() -> Iterator[Endpoint]:
    vertex = ("projects/{}/locations/{}/publishers/google/", "publishers/google/")
    places = [f"/{version}/models/{{model}}" for version in VERSIONS]
    places += [f"/{version}/{inner}models/{{model}}" for version in ("v1", "v1beta1") for inner in vertex]
    places += [f"/{version}/{{upstream/model}}" for version in VERSIONS]  # the AI SDK asks so for a name with a slash
    for at in places:
        yield Endpoint("", f"{at}:generateContent", "models/{model}:generateContent", streams=False)
        yield Endpoint(
            "", f"{at}:streamGenerateContent", "models/{model}:streamGenerateContent?alt=sse", streams=True,
            framed=framed,
        )  # fmt: skip
        yield Endpoint("count", f"{at}:countTokens", "models/{model}:countTokens", streams=False)
        for verb in UNTRANSLATED:
            yield Endpoint(
                verb, f"{at}:{verb}", f"models/{{model}}:{verb}", streams=False, untranslated=True, deterministic=True
            )


def _echo(body: Body) -> Body:
    """A client that has asked to see thoughts is shown them."""
    config = section(section(camel(body), "generationConfig"), "thinkingConfig")
    return {"includeThoughts": flag(config, "includeThoughts") is True}


def _check(body: Body) -> None:
    said: Any = camel(body)
    asked = said.get("generateContentRequest")
    if not isinstance((camel(asked) if isinstance(asked, dict) else said).get("contents"), list | dict):
        raise BadRequest("contents: contents is not specified", "contents")


def _asks(headers: Mapping[str, str]) -> bool:
    return "X-Goog-Api-Key" in headers


GEMINI = Dialect(
    name="gemini",
    endpoints=tuple(_endpoints()),
    decode_request=decode,
    encode_request=encode,
    decoder=lambda policy: Decoder(),
    encoder=Encoder,
    explode=lambda body, policy: explode(body),
    collect=collect,
    usage=usage.UsageReader(of_event, read_usage, name=b'"usageMetadata"'),
    words=WORDS,
    asks=Asks((b'"maxOutputTokens"', b'"max_output_tokens"'), depth=2),
    schemas=table.Writes(table.GEMINI, table.GEMINI, not_beside_tools=re.compile(r"gemini-[12]")),
    errors=Errors(fault.body, fault.event, fault.status, fault.last),
    searchers=SEARCHERS,
    without_foreign=foreign_reasoning.without,
    inner_model=inner_model.renamed,
    seal_mark=proofs.MARK,
    marks=Marks(
        terminal=re.compile(rb'"(?:finishReason|blockReason)"\s*:\s*"|"error"\s*:\s*\{'),
        refusal=re.compile(rb'"finishReason"\s*:\s*"(?:%b)"|"blockReason"\s*:\s*"' % _REFUSALS),
        content=re.compile(rb'"text"\s*:\s*"[^"]|"(?:functionCall|inlineData|executableCode)"\s*:'),
        ping=PING,
        comment=PING,
        model=re.compile(rb'("modelVersion"\s*:\s*")[^"\\]*(")'),
    ),
    http=Http(auth=("x-goog-api-key", ""), asks=_asks, query_key="key"),
    models=ModelListing(model_list.row, model_list.page, query="?pageSize=1000", paths=LISTS),
    wants_turns=True,
    shows=parts.shows,
    model_shows=True,
    joins_texts=True,
    carries=("messages", "responses", "chat"),
    counting=TokenCounting(_check, lambda count: wire.dumps({COUNTED: count}), COUNTED),
    echo=_echo,
    usual={"safetySettings": []},
    aside=frozenset(("labels",)),
    unserved=UNSERVED,
    looks_like=lambda body, headers: "contents" in body or "generationConfig" in body,
)
