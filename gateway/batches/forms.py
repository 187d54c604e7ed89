"""The APIs of batches, by the name that a batch has for its own."""

from __future__ import annotations

from typing import Protocol

from gateway.batches import messages_batches, openai_batches
from gateway.batches.gathering import Answered
from gateway.batches.own_request import Call
from operate.batch_store import Batch, Work
from translate.messages.dialect import MESSAGES


class BatchApi(Protocol):
    """How its requests are made and their results told."""

    def call(self, batch: Batch, work: Work) -> Call: ...

    def result(self, work: Work, said: Answered) -> tuple[str, bytes]:
        """(outcome, result)."""


FORMS: dict[str, BatchApi] = {MESSAGES.name: messages_batches, openai_batches.FORM: openai_batches}
