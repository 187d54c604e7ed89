"""What a Chat client calls things."""

from __future__ import annotations

from translate.chat.ledger import LEDGER
from translate.fields.words import Words

WORDS = Words(
    thoughts="messages.reasoning_content",
    image="image_url",
    sees_thoughts=True,
    ledger=LEDGER,
)
