"""What a Gemini client calls things."""

from __future__ import annotations

from translate.fields.words import Words
from translate.gemini.ledger import LEDGER

WORDS = Words(
    history="contents",
    stop="generationConfig.stopSequences",
    thoughts="contents.parts.thought",
    thinking="generationConfig.thinkingConfig",
    effort="generationConfig.thinkingConfig.thinkingLevel",
    display="",
    output="generationConfig.responseSchema",
    tool_schema="tools.functionDeclarations.parameters",
    image="inlineData",
    cache_key="",
    ledger=LEDGER,
    own={
        "temperature": "generationConfig.temperature",
        "top_p": "generationConfig.topP",
        "top_k": "generationConfig.topK",
        "seed": "generationConfig.seed",
        "frequency_penalty": "generationConfig.frequencyPenalty",
        "presence_penalty": "generationConfig.presencePenalty",
        "tool_choice": "toolConfig.functionCallingConfig",
    },
)
