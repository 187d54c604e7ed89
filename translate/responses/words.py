"""What a Responses client calls things."""

from __future__ import annotations

from translate.fields.words import Words
from translate.responses.ledger import LEDGER

WORDS = Words(
    history="input",
    thoughts="input.reasoning",
    thinking="reasoning",
    effort="reasoning.effort",
    output="text.format",
    image="input_image",
    verbosity="text.verbosity",
    ledger=LEDGER,
)
