"""What each provider takes of JSON Schema: one row for each of its dialects, for tools and reply formats alike.

Sources: OpenAI's guide "Structured outputs" and its SDK's lib/_pydantic.py; Anthropic's guide "Structured outputs" and
its SDK's lib/_parse/_transform.py; Google's API reference "Schema"; llama.cpp's json-schema-to-grammar.cpp; and what
their 400s say.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from translate.schemas import patterns
from translate.target import Target

_ANNOTATIONS = frozenset({"title", "description"})
# Codex has OpenAI's models write what one agent tells another in cipher. Other models leave such an argument empty.
_CIPHER = frozenset({"encrypted"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_SHAPES = frozenset({"type", "enum", "const", "anyOf", "properties", "additionalProperties", "required", "items",
                     "$defs", "$ref"})  # fmt: skip


class SchemaDialect(Struct, frozen=True):
    """What one provider takes.

    keywords: those that it takes; None = all except for `refused`. formats: of strings; None = any. patterns: what a
    regular expression may use (see patterns.py). object_root: the root must be an object without a choice (tools,
    formats). closed: objects must be closed; "made" = they are closed for it, "said" = only a schema that its author
    has closed is sent in this dialect. required: every property must be required. names: which names properties may
    have. most_repeats: the longest bound that it can unfold. strict: what it takes is enforced exactly.
    """

    name: str
    keywords: frozenset[str] | None = None
    refused: frozenset[str] = _CIPHER
    formats: frozenset[str] | None = None
    patterns: frozenset[str] | None = None
    object_root: tuple[bool, bool] = (True, True)
    refused_at_root: frozenset[str] = frozenset()
    typed: bool = False  # each piece must have a type
    choices: bool = True  # type may be a list
    closed: str = ""
    required: bool = False
    recursive: bool = True
    needs_items: bool = False
    tuples: bool = True
    names: re.Pattern[str] | None = None
    most_repeats: int = 0
    strict: bool = False


OPENAI = SchemaDialect(
    "openai",
    patterns=patterns.PYTHON,
    refused_at_root=frozenset({"enum", "const", "not"}),
    needs_items=True,
)
OPENAI_STRICT = SchemaDialect(
    "openai strict",
    keywords=_SHAPES | _ANNOTATIONS | {"pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum",
                                       "exclusiveMaximum", "minItems", "maxItems", "minLength", "maxLength"},
    formats=_FORMATS,
    patterns=patterns.SIMPLE,
    refused_at_root=OPENAI.refused_at_root,
    typed=True,
    closed="said",
    required=True,
    needs_items=True,
    tuples=False,
    strict=True,
)  # fmt: skip
ANTHROPIC = SchemaDialect("anthropic", names=re.compile(r"[a-zA-Z0-9_.-]{1,64}"), object_root=(True, False))
ANTHROPIC_STRICT = SchemaDialect(
    "anthropic strict",
    keywords=_SHAPES | _ANNOTATIONS | {"format", "minItems"},
    formats=_FORMATS | {"uri"},
    object_root=(True, False),
    refused_at_root=OPENAI.refused_at_root,
    typed=True,
    choices=False,
    closed="made",
    recursive=False,
    tuples=False,
    names=ANTHROPIC.names,
    strict=True,
)
CLAUDE = replace(OPENAI, name="claude", names=ANTHROPIC.names)
CLAUDE_STRICT = replace(OPENAI_STRICT, name="claude strict", names=ANTHROPIC.names)
"""Claude behind OpenAI's protocols: its service hands schemas on."""
GEMINI = SchemaDialect("gemini", object_root=(True, False))
"""A small part of OpenAPI's: see gemini.py."""
GRAMMAR = SchemaDialect(
    "grammar",
    refused=_CIPHER | frozenset({"multipleOf", "uniqueItems", "contains", "minContains", "maxContains", "minProperties",
                       "maxProperties", "propertyNames", "patternProperties", "dependentRequired", "dependentSchemas",
                       "unevaluatedProperties", "unevaluatedItems", "not", "if", "then", "else"}),
    object_root=(False, False),
    patterns=patterns.GRAMMAR,
    typed=True,
    most_repeats=2_000,
)  # fmt: skip
"""llama.cpp and those that stand on it unfold a schema into rules."""

MOST_PROPERTIES, MOST_LEVELS, MOST_WORDS = 5_000, 10, 1_000
"""Of a strict schema at OpenAI; more is a 400."""
MOST_STRICT_TOOLS, MOST_OPTIONAL, MOST_UNIONS = 20, 24, 16
"""Of all strict schemas of a request together at Anthropic."""


class Writes(Struct, frozen=True):
    """In which dialects upstreams of a protocol are given schemas. plain: tools and loose formats. claude: the same for
    a model of Anthropic's. formats_enforced: whether the schema of an answer is always enforced. not_beside_tools:
    names of models that take no schema of an answer if there are tools. never: names of models that never take one."""

    plain: SchemaDialect = OPENAI
    claude: SchemaDialect = CLAUDE
    formats_enforced: bool = False
    not_beside_tools: re.Pattern[str] | None = None
    never: re.Pattern[str] | None = None


USUAL = Writes()


_GOOGLES = re.compile("gemini")


def plain(usual: Writes, target: Target) -> SchemaDialect:
    """The schema dialect of the upstream's tools and loose formats."""
    how = target.policy.tool_schema
    model = target.model.lower()
    if how == GEMINI.name or (how == "auto" and _GOOGLES.search(model)):
        return GEMINI
    if how == "grammar":
        return GRAMMAR
    return usual.claude if how == "auto" and "claude" in model else usual.plain


def enforced(dialect: SchemaDialect) -> SchemaDialect:
    """The dialect of a strict schema, if that of tools and loose formats is `dialect`."""
    if dialect is ANTHROPIC:
        return ANTHROPIC_STRICT
    if dialect is CLAUDE:
        return CLAUDE_STRICT
    return OPENAI_STRICT if dialect is OPENAI else dialect
