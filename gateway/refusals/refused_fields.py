"""Which fields of a request an upstream's 400 is about.

`read` finds the field of the sent body that an error is about, and the name that the upstream wants instead, if any.
Words that the request holds itself are not believed: upstreams quote what they refuse, and a client would teach for all
the others. Only what is in the body counts, and nothing that a request would mean something else without: tools and
formats are never left out because a server has no use for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gateway.refusals.learned_quirks import MAX_EACH, Quirk, forces_tool
from gateway.refusals.own_words import OwnWords
from translate import late
from translate.failures import errors
from translate.failures.errors import ApiError
from translate.fields import fit
from translate.json import wire

MAX_READ = 8 * 1024  # characters of an error
MAX_DEPTH = 8

KEPT = frozenset({
    "model", "stream",
    "messages", "input", "contents", "prompt", "system", "systemInstruction", "system_instruction", "instructions",
    "previous_response_id", "conversation", "cachedContent", "cached_content", "container",  # what was said before
    "tools", "functions", "function_call", "toolConfig", "tool_config", "mcp_servers",
    "response_format", "text", "text.format", "output_format", "output_config.format",
})  # fmt: skip

_ALONG = dict.fromkeys((fit.LIKELY, "logprobs"), "top_logprobs")  # what is refused without the other
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}  # servers take one of the two

# A match begins where a word does and is no longer than a field's name, so that the search takes linear time.
_FIELD = r"[`'\"]?(?<![\w.])([A-Za-z][\w.]{0,99})[`'\"]?"
_SAID = (  # texts: re compiles each at the first error, and keeps it
    rf"Unsupported parameter: {_FIELD}",  # OpenAI, Azure
    r"(?i)unrecognized request arguments? supplied: ([\w., ]+)",  # OpenAI, Azure
    rf"(?i)unknown parameter: {_FIELD}(?!\[)",  # OpenAI Responses
    rf"Unsupported value: {_FIELD} does not support .*Only the default",  # temperature of models that reason
    rf"(?:^|[\s(])(?:body\.)?{_FIELD}: Extra inputs are not permitted",  # Anthropic, pydantic
    rf"'loc': \('body', {_FIELD}\)",  # vLLM: FastAPI's in Python's words
    rf"property {_FIELD} is unsupported",  # Groq
    r"[`'\"]([A-Za-z][\w.]{0,99})[`'\"] is not supported (?:with|by|for|on) this model",  # OpenAI, Groq
    rf"{_FIELD} (?:is|are) (?:deprecated|no longer supported|unsupported) (?:with|by|for|on) this model",  # Anthropic
    r"Unknown name \"(\w+)\": Cannot find field",  # Gemini, at the top of the body
    rf"(?:does not support parameter|Argument not supported on this model:) {_FIELD}",  # xAI
    rf"unknown field {_FIELD}",  # serde: DeepSeek and others
    rf"Additional properties are not allowed \({_FIELD} was unexpected\)",
    rf"unexpected keyword argument {_FIELD}",
    rf"Extra inputs are not permitted, field: {_FIELD}",  # Fireworks
    r"extraneous key \[([\w.]{1,100})\] is not permitted",  # Bedrock
    rf"invalid {_FIELD}: only \S{{1,20}} is allowed for this model",  # Kimi
)
BOTH = late.pattern(  # either will do
    rf"{_FIELD} and {_FIELD} cannot both be (?:specified|set)"  # Anthropic, Bedrock
    rf"|cannot specify both {_FIELD} and {_FIELD}"  # Kimi
)


def _refused(path: str) -> re.Pattern[str]:
    """Returns what finds a refusal of a member of a list."""
    return late.pattern(
        rf"(?i)\b{path}['`\"]?: Extra inputs are not permitted"  # Anthropic's clouds, pydantic
        rf"|(?:unknown parameter|not permitted, field|unknown field)\W{{1,4}}{path}\b"  # OpenAI, Fireworks
        rf"|\b{path}\W{{0,3}} (?:is|was) (?:not supported|unsupported|unexpected)"  # Groq
    )


_PHRASED = (  # words that do not name the field, and what it may be
    (late.pattern(r"Penalty is not enabled for"),  # Gemini says it of both penalties
     ("generationConfig.frequencyPenalty", "generationConfig.presencePenalty", "frequency_penalty",
      "presence_penalty")),
    (late.pattern(r"verified to generate reasoning summaries"), ("reasoning.summary",)),  # OpenAI, of an organization
    (late.pattern(r"(?i)Thinking (?:level |budget )?(?:[A-Z_]{1,40} )?is not (?:enabled|supported)|"  # Gemini, Ollama
                r"Budget \d{1,9} is invalid|is not a supported thinking level|does not support thinking"),
     ("generationConfig.thinkingConfig", "reasoning_effort")),
    (late.pattern(r"(?i)adaptive thinking is not supported|thinking\.type\.\w{1,20}\W{0,3}is not supported"),
     ("thinking",)),  # Anthropic
    (late.pattern(r"chat_template is not supported"), ("chat_template_kwargs",)),  # vLLM, with Mistral's tokenizers
    (late.pattern(r"does not support the effort parameter"), ("output_config.effort", "reasoning_effort")),
    (late.pattern(r"Unknown name \"include_?[sS]erver_?[sS]ide_?[tT]ool_?[iI]nvocations\""),  # Vertex AI, behind
     ("toolConfig.includeServerSideToolInvocations",)),  # another name than the preset's
    (late.pattern(r"Reasoning is mandatory for this endpoint"), ("reasoning.enabled",)),  # OpenRouter
    (late.pattern(r"(?i)\blogprobs are not supported"), (fit.LIKELY, "logprobs")),  # OpenAI, which says `include` of
    (late.pattern(r"(?i)\bencrypted content is not supported"), (fit.ENCRYPTED,)),  # both words that may be in it
    (_refused(r"tools[.\[]\d{1,4}\]?(?:\.\w{1,20}){0,2}\.strict"), (fit.STRICT,)),
    (_refused(r"input[.\[]\d{1,5}\]?\.phase"), (fit.PHASE,)),
)  # fmt: skip
_PARAM = late.pattern(r"(?i)not supported with this model|unsupported parameter|unknown (field|parameter|argument)")
REFUSES_PROOFS = late.pattern(
    r"(?:(?:permitted|unknown|unrecogni[sz]ed|propert(?:y|ies)\b).{0,60}?)?"
    r"\b(?:thinking_blocks|reasoning_opaque|reasoning_text|provider_specific_fields)\b"
    r"(?:.{0,20}?(?:unsupported|unexpected|permitted|allowed))?",
    re.I,
)
WANTS_THOUGHTS = late.pattern(r"reasoning[_ ]content\b.{0,80}?\b(?:must be passed back|is missing|is required)", re.I)


def read(error: ApiError, raw: bytes, sent: dict[str, Any]) -> list[Quirk]:
    """Returns what an error (a 400 or 422 whose body is `raw`) says about fields of the sent body; [] if nothing."""
    found: dict[str, Quirk] = {}
    own = OwnWords(sent)
    for name in named(error, raw, own):
        field = next((each for each in (name, snake(name)) if fit.is_in(sent, each)), "")
        if not field or _must_stay(sent, field):
            continue
        instead = _LIMITS.get(field, "")
        if instead not in sent:
            found.setdefault(field, Quirk(field, instead))
        if (along := _ALONG.get(field)) in sent:
            found.setdefault(along, Quirk(along))
    for match in BOTH.finditer(error.message[:MAX_READ]):
        first, second = filter(None, match.groups())
        if not own.holds(match.group()) and first in sent and second in sent and not _must_stay(sent, second):
            found.setdefault(second, Quirk(second, beside=first))
    return list(found.values())[:MAX_EACH]


def names_any(error: ApiError, raw: bytes, own: OwnWords) -> bool:
    """Returns whether the error names a field at all, which most errors do not: then nobody need know what was sent."""
    return next(named(error, raw, own), None) is not None or BOTH.search(error.message[:MAX_READ]) is not None


def _must_stay(sent: dict[str, Any], field: str) -> bool:
    """Returns whether the request would mean something else without the field: the prompt, a required form of the
    reply, a forced tool."""
    if field in KEPT or forces_tool(field, sent.get(field)):
        return True
    return any(kept.startswith(field + ".") and fit.is_in(sent, kept) for kept in KEPT)


def named(error: ApiError, raw: bytes, own: OwnWords) -> Iterator[str]:
    message = error.message[:MAX_READ]
    for pattern in _SAID:
        for match in re.finditer(pattern, message):
            if own.holds(match.group()):
                continue
            yield from filter(None, re.split(r"[\s,]+", match.group(1).strip(".")))
    param = error.param
    for phrase, fields in _PHRASED:
        if (refused := phrase.search(message)) is not None and not own.holds(refused.group()):
            yield from fields
            param = None if param == "include" else param  # one of its words is meant
    value_is_meant = message.startswith(("Unsupported value", "Invalid value"))
    if param and not value_is_meant:
        words = _PARAM.search(message)
        if error.code == "unsupported_parameter" or (words is not None and not own.holds(words.group())):
            yield param
    try:
        yield from _forbidden(wire.loads(errors.in_event(raw) or raw) if len(raw) <= MAX_READ else None)
    except ValueError:
        return


_AROUND = ("detail", "details", "error", "errors", "message")


def _forbidden(data: Any, depth: int = 0) -> Iterator[str]:
    """Yields the fields that FastAPI's details name, inside of what servers put around them: {"type":
    "extra_forbidden", "loc": ["body", "seed"]}."""
    if depth > MAX_DEPTH:
        return
    if isinstance(data, list):
        for item in data:
            yield from _forbidden(item, depth + 1)
    elif isinstance(data, dict):
        where = data.get("loc")
        if data.get("type") == "extra_forbidden" and isinstance(where, list) and where[:1] == ["body"] != where:
            if len(where) == 2:
                yield str(where[1])
            elif where[1] == "tools" and where[-1] == "strict":
                yield fit.STRICT
        else:
            for name in _AROUND:  # not "input", which quotes what was sent
                yield from _forbidden(data.get(name), depth + 1)


def snake(name: str) -> str:
    """Returns a name in snake case: xAI names fields as its own code does, such as presencePenalty."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match.group(1).lower(), name)
