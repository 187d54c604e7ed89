"""OpenAI Chat Completions, as the rest of the program knows it."""

from __future__ import annotations

import re

from translate.chat import clients, fault, foreign_reasoning, media, responses_body, unreadable_pointers
from translate.chat.decode_request import decode
from translate.chat.decode_stream import Decoder
from translate.chat.encode_request import encode
from translate.chat.encode_stream import Encoder
from translate.chat.opening import broken, fails, opens
from translate.chat.reply import collect, explode
from translate.chat.text_turns import said
from translate.chat.usage import of_chunk, read_usage
from translate.chat.words import WORDS
from translate.counting import usage
from translate.dialect import Asks, Dialect, Errors, Marks
from translate.endpoint import Endpoint, Other
from translate.failures import openai_errors
from translate.json import top_level
from translate.ollama import endpoints as ollama

UNTRANSLATED = ("embeddings", "completions", "moderations", "rerank", "images/generations")
"""OpenAI's further endpoints that take JSON with a model and answer JSON, and rerank, which many other servers have."""

DETERMINISTIC = ("embeddings", "moderations", "rerank")
USUAL_MODELS = {"moderations": "omni-moderation-latest"}
"""Those where a request need not name a model, as openai's `moderations.create(input=...)` does not."""

RELAYED = ("audio/speech", "audio/transcriptions", "audio/translations", "images/edits", "images/variations", "files")
"""Those whose requests or replies are forms and files."""


_RESPONSES = Other(b'"input"', b'"messages"', responses_body.ENDPOINT, top_level.early(b'"messages"'))


def _untranslated(name: str) -> Endpoint:
    usual = USUAL_MODELS.get(name, "")
    fixed = name in DETERMINISTIC
    return Endpoint(name, f"/v1/{name}", name, untranslated=True, deterministic=fixed, usual_model=usual)


CHAT = Dialect(
    name="chat",
    endpoints=(
        Endpoint("", "/v1/chat/completions", "chat/completions", other=_RESPONSES),
        *ollama.ENDPOINTS,
        *map(_untranslated, UNTRANSLATED),
        *(Endpoint(name, f"/v1/{name}", name, untranslated=True, relayed=True) for name in RELAYED),
        *ollama.EMBEDDINGS,
    ),
    decode_request=decode,
    encode_request=encode,
    decoder=Decoder,
    encoder=Encoder,
    explode=explode,
    collect=collect,
    usage=usage.UsageReader(of_chunk, read_usage),
    words=WORDS,
    errors=Errors(openai_errors.body, fault.event, openai_errors.status, fault.last),
    without_foreign=foreign_reasoning.without,
    followed=unreadable_pointers.followed,
    marks=Marks(
        terminal=re.compile(rb'data:\s*\[DONE\]|"finish_reason"\s*:\s*"[^"]|"error"\s*:\s*[{"]|^error:', re.M),
        last=re.compile(rb"^data:\s*\[DONE\]\s*(?::[^\r\n]*[\r\n]\s*)*\Z", re.M),  # comments may follow
        refusal=re.compile(rb'"finish_reason"\s*:\s*"content_filter"|"refusal"\s*:\s*"[^"]'),
        content=re.compile(
            rb'"(content|reasoning|reasoning_content|arguments|name)"\s*:\s*"[^"]|"(images|audio)"\s*:\s*[\[{]'
        ),
    ),
    shows=media.shows,
    joins_texts=True,
    asks=Asks((b'"max_tokens"', b'"max_completion_tokens"')),
    carries=("responses", "messages"),
    usual={"user": "doctor", "seed": 1, "prompt_cache_key": "doctor", "reasoning_effort": "low"},
    open_reasoning=True,
    wishes_usage=True,
    aside=frozenset(("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "metadata")),
    text_turns=said,
    told_apart=clients.told_apart,
    opens=opens,
    fails=fails,
    broken=broken,
)
