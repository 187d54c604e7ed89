"""Where batches and their files are kept, and which worker has which of their requests.

There is one interface and two queues behind it: a SQLite file of one host (host_queue.py), and the shared store of a
fleet (fleet_queue.py). A batch is there once all of its requests are; a request has at most one result; and what a
killed process had claimed is claimed by another one. All methods raise ApiError if the queue cannot be used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from operate.batch_store import Batch, File, Outcome, Result, Work

Progress = dict[str, Any]
"""Of a batch that has not ended: id, client, form, total, done, running, errored, created."""


class Queue(Protocol):
    @property
    def trouble(self) -> str:
        """Why it cannot be used at the moment, if no other part reports that; "" = it can."""

    # ------------------------------------------------------------------------------------------- batches

    async def add(self, batch: Batch, requests: Sequence[tuple[str, bytes]]) -> None:
        """requests: (name, request)."""

    async def get(self, id: str) -> Batch | None: ...

    async def listed(self, form: str, owner: str) -> list[Batch]:
        """The latest first."""

    async def counts(self, id: str) -> dict[Outcome, int]: ...

    async def results(self, id: str, after: int, most: int) -> list[Result]:
        """Of a batch that has ended, in the order of the requests: those whose number is greater than `after`, at least
        one and at most so many. []: there are no more."""

    async def cancel(self, id: str, at: float) -> None: ...

    async def delete(self, id: str) -> None: ...

    # --------------------------------------------------------------------------------- for who runs them

    async def claim(self, running: int, most: int) -> Work | None:
        """Returns a request without a result that nobody else has; the batches take turns. It belongs to the caller
        until it is answered or postponed, or the process is gone. running: how many the caller has. most: how many all
        may have."""

    async def keep(self, works: Sequence[Work]) -> None:
        """The caller still runs these. It says so every KEEP_S seconds."""

    def answered(self, work: Work, outcome: Outcome, result: bytes) -> Awaitable[bool]:
        """Stores a result. When this returns, the result is on its way; when the answer comes, it is stored. The answer
        says whether it is the first result of the request."""

    async def postpone(self, work: Work, wait_s: float) -> None:
        """Lets anybody claim the request again, after so long. If its batch was given up meanwhile, that is its
        result."""

    async def tend(self, keep_s: float) -> list[Progress]:
        """Ends batches whose requests are all done, and forgets old batches and files. Returns how the others fare; []
        if somebody else reports that."""

    async def leave(self) -> None:
        """The caller claims nothing more: others get its part."""

    # --------------------------------------------------------------------------------------------- files

    async def add_file(self, file: File, content: bytes) -> None: ...

    async def files(self, owner: str) -> list[File]:
        """The latest first."""

    async def one_file(self, id: str) -> File | None: ...

    async def content(self, id: str) -> bytes: ...

    async def delete_file(self, id: str) -> None: ...

    def close(self) -> None: ...


KEEP_S = 2.0
