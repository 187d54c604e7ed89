"""What all parts of batches share: the queue, and what operators see."""

from __future__ import annotations

import asyncio

from gateway.batches.queue import Progress, Queue
from operate.settings.load import BatchSettings


class Desk:
    """queue: None = the proxy runs no batches. news: is set when something has changed; the runner waits for it. told:
    results since the start, by outcome; progress: of each batch that has not ended."""

    def __init__(self) -> None:
        self.queue: Queue | None = None
        self.settings = BatchSettings()
        self.news = asyncio.Event()
        self.stale = False
        self.told: dict[str, int] = {}
        self.progress: list[Progress] = []
        self.adding = asyncio.Lock()  # between the look at what a client keeps and what is added to it
        self._before: list[Queue] = []  # from before the settings changed: answers may still be on their way to them

    def __repr__(self) -> str:
        return f"<Desk {self.queue!r}>"

    def adopt(self, settings: BatchSettings, queue: Queue | None) -> None:
        self.settings = settings
        if queue is not self.queue:
            self._before += [self.queue] if self.queue is not None else []
            self.queue = queue

    def looks_anew(self) -> None:
        """A batch has changed: the runner looks at all of them at once."""
        self.stale = True
        self.news.set()

    def stop(self) -> None:
        for queue in (self.queue, *self._before):
            if queue is not None:
                queue.close()
