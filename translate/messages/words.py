"""What a Messages client calls things."""

from __future__ import annotations

from translate.fields.words import Words
from translate.messages.ledger import LEDGER

WORDS = Words(
    history="messages",
    stop="stop_sequences",
    thoughts="messages.thinking",
    thinking="thinking",
    effort="output_config.effort",
    display="thinking.display",
    output="output_config.format",
    tool_schema="tools.input_schema",
    image="image",
    cache_key="",
    citations="citations",
    user="metadata",
    parallel="tool_choice",
    ledger=LEDGER,
)
