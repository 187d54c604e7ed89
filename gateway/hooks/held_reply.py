"""A response writer that holds a reply until the hooks have seen all of it.

It stands between a Flow and the client's writer. What was written is read as one reply, even if it is a stream, and
goes on as the hooks leave it: the same bytes, other ones, or an error. A hook whose section says `streams = after` does
not hold a stream: it sees the stream when the client has it, and cannot change it.

A client whose stream is held for long gets its head and signs of life all the same ([server] head_seconds). What a hook
says against the reply is an error in the stream then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gateway.flow.client_request import ClientRequest
from gateway.flow.info import Cancelled
from gateway.hooks.asking import Asking, about
from gateway.hooks.callers import Caller, Said
from gateway.http import header_rules
from gateway.http.response_writer import Writer, nothing
from operate.settings.sections import Hook
from translate.failures.errors import ApiError
from translate.json import wire
from translate.pair import Crossing
from translate.target import Asked

log = logging.getLogger("gateway")

SIGN_S = 5.0  # between two signs of life while hooks are asked


class HeldReply:
    """refused: is told the error that the client gets instead of the reply, and whether the head is out. is_late:
    whether the client had better get the head of its stream. unframed: the reply in the form of its protocol, where the
    client gets it in another one, which hooks do not read. keep: keeps a task until it is done."""

    kept: bytearray | None = None

    def __init__(
        self, writer: Writer, hooks: Asking, request: ClientRequest, most_bytes: int,
        refused: Callable[[ApiError, bool], None], is_late: Callable[[], bool], unframed: Callable[[], bytes | None],
        keep: Callable[[asyncio.Future[None]], None],
    ) -> None:  # fmt: skip
        self._writer = writer
        self._hooks = hooks
        self._request = request
        self._asked = request.body
        self._most = most_bytes
        self._refused = refused
        self._is_late = is_late
        self._unframed = unframed
        self._framed = None if request.task else request.framed
        self._begun = False  # the head of a stream that is held is out
        self._keep = keep
        found = hooks.of("reply", request.asked_model)
        self._holding = [each for each in found if not request.streams or each[0].streams == "hold"]
        self._after = [each for each in found if each not in self._holding]
        self._head: tuple[int, bytes] = 0, b""
        self._parts: list[bytes] = []
        self._size = 0
        self._streams = False
        self._judging: asyncio.Future[None] | None = None
        self.more, self.written = writer.more, writer.written
        self.on_full, self.on_drained, self.on_left = writer.on_full, writer.on_drained, writer.on_left

    def __repr__(self) -> str:
        return f"<HeldReply of {self._size} bytes before {self._writer!r}>"

    # ------------------------------------------------------------------ what the flow asks of its writer

    @property
    def left(self) -> bool:
        return self._writer.left

    @property
    def all_sent(self) -> bool:
        return not self._holding and self._writer.all_sent

    @property
    def may_wait(self) -> bool:
        return self._writer.may_wait

    def watch(self, on_left: Callable[[], None]) -> None:
        self._writer.watch(on_left)

    def leaves(self) -> None:
        self._writer.leaves()

    def hang_up(self) -> None:
        self._writer.hang_up()

    def last(self) -> None:
        self._writer.last()

    def abort(self) -> None:
        self._writer.abort()

    def cut_off(self) -> bool:
        """While a hook is still asked, the client has nothing yet and is told why: an operator has cancelled the
        request, as nothing else ends one that waits only for its client."""
        if self._judging is None or self._judging.done():
            return self._writer.cut_off()
        self._judging.cancel()
        self._refuse(Cancelled())
        return True

    def over(self) -> None:
        self._writer.over()
        self._refused, self._is_late, self._unframed = _nobody, _never, _nothing  # they would keep each other alive
        self.on_full = self.on_drained = self.on_left = nothing

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        if status != 200 or not (self._holding or self._after):  # an error of the proxy, or of an upstream
            self._writer.whole(status, head, body)
            self.written = self._writer.written
            return
        self._head, self._parts, self._size = (status, head), [body], len(body)
        if self._holding:
            self._judge()
        else:
            self._writer.whole(status, head, body)
            self.written = self._writer.written
            self._tell()

    def start(self, status: int, head: bytes) -> None:
        self._streams = True
        self._head = status, head
        if not self._holding:
            self._writer.on_full, self._writer.on_drained = self._is_full, self._is_drained
            self._writer.start(status, head)

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._most:
            self._parts.append(data)
        if not self._holding:
            self._writer.write(data)
            self.written = self._writer.written

    write_last = write

    def sign(self, data: bytes) -> None:
        """A client whose stream is held gets another one, if it has waited for long."""
        if not self._holding:
            self._writer.sign(data)
        elif self._is_late() and self.may_wait and (self._framed is None or self._framed.may_wait):
            if not self._begun:
                self._begun = True
                self._writer.start(*self._head)
            comment = self._request.dialect.marks.comment
            self._writer.sign(self._framed.framing().ping() if self._framed is not None else comment)

    def _is_full(self) -> None:
        self.on_full()

    def _is_drained(self) -> None:
        self.on_drained()

    def end(self) -> None:
        if self._holding:
            self._judge()
        else:
            self._writer.end()
            self._tell()

    def when_sent(self, then: Callable[[bool], None]) -> None:
        judging = self._judging
        if judging is None:
            self._writer.when_sent(then)
        else:
            judging.add_done_callback(lambda done: self._writer.when_sent(then))

    # ------------------------------------------------------------------------------------- the hooks' word

    def _judge(self) -> None:
        self._judging = asyncio.ensure_future(self._judged(self._unframed()))
        self._keep(self._judging)

    def _tell(self) -> None:
        if self._after:
            self._keep(asyncio.ensure_future(self._told(self._unframed())))

    async def _judged(self, unframed: bytes | None) -> None:
        raw = b"".join(self._parts)
        try:
            seen = self._seen(raw, unframed)
            changed = await self._with_signs(self._ask(self._holding, seen)) if seen is not None else None
            out = raw if changed is None else self._written(changed)
        except ApiError as error:
            self._refuse(error)
        except Exception as why:  # such as a body of a hook that is no reply; its words may quote it
            log.error("request %s: the reply that hooks have changed cannot be written: %s", self._request.key,
                      type(why).__name__)  # fmt: skip
            self._refuse(ApiError("api", "internal error of the proxy: a changed reply cannot be written, see its log"))
        else:
            status, head = self._head
            if self._streams:
                if not self._begun:
                    self._writer.start(status, head)
                self._writer.write(out)
                self._writer.end()
            else:
                self._writer.whole(status, head, out)
        self.written = self._writer.written
        self._tell()

    async def _with_signs(self, asking: Coroutine[Any, Any, Said | None]) -> Said | None:
        """Returns what the hooks say, who may take minutes. The flow has ended, and gives no signs of life."""
        if not self._streams:
            return await asking
        answer = asyncio.ensure_future(asking)
        try:
            while not (await asyncio.wait([answer], timeout=SIGN_S))[0]:
                self.sign(b"")
            return answer.result()
        finally:
            answer.cancel()

    def _refuse(self, error: ApiError) -> None:
        error.__traceback__ = error.__context__ = error.__cause__ = None  # its frames keep the request alive
        self._refused(error, self._begun)
        words, key, framed = self._request.dialect.errors, self._request.key, self._framed
        if self._begun:
            said = words.event(error, key)
            self._writer.write_last(said if framed is None else framed.all_of(said))
            self._writer.end()
            return
        status = words.status(error)
        head = header_rules.JSON_HEAD + header_rules.of_refusal(status, key, "", error.retry_after)
        self._writer.whole(status, head, ((framed and framed.error) or words.body)(error, key))

    async def _told(self, unframed: bytes | None) -> None:
        try:
            if (seen := self._seen(b"".join(self._parts), unframed)) is not None:
                await self._ask(self._after, seen)
        except ApiError as error:
            log.warning("request %s: its reply is out, and a hook refuses it: %s", self._request.key, error.message)
        self._parts.clear()

    def _seen(self, raw: bytes, unframed: bytes | None) -> bytes | None:
        """Returns the reply as hooks see it, None if the client gets no reply of a model. Raises ApiError."""
        if self._framed is None:
            return raw
        if unframed is None:
            raise self._too_long()
        return unframed or None

    def _too_long(self) -> ApiError:
        return ApiError("api", f"the reply has more than {self._most >> 20} MB, which no hook can see", 502)

    async def _ask(self, asking: Sequence[tuple[Hook, Caller]], raw: bytes) -> Said | None:
        """Returns what the hooks have made of the reply, None if they changed nothing. Raises ApiError."""
        body: Said | None = None
        changed = False
        for hook, caller in asking:
            if body is None:
                body = self._read(raw)
            event = about("reply", self._request) | {"request": wire.loads(self._asked), "body": body}
            other = await self._hooks.ask(hook, caller, event, self._request.key)
            if other is not None:
                body, changed = other, True
        return body if changed else None

    def _read(self, raw: bytes) -> Said:
        """Returns the whole reply. Raises ApiError: if it cannot be read, nobody can say that it is harmless."""
        if self._size > self._most:
            raise self._too_long()
        try:
            if not self._streams:
                found: Said = wire.loads(raw)
                return found
            crossing = self._crossing()
            crossing.record()
            crossing.feed(raw)
            crossing.end()
            return crossing.recorded()
        except ApiError:
            raise
        except (ValueError, KeyError, TypeError):
            raise ApiError("api", "the reply cannot be read, so that no hook can see it", 502) from None

    def _written(self, body: Said) -> bytes:
        raw, framed = wire.dumps(body), self._framed
        if not self._streams:
            return raw if framed is None else framed.whole(raw)
        out = self._crossing().whole_as_stream(raw)
        return out if framed is None else framed.all_of(out)

    def _crossing(self) -> Crossing:
        request = self._request
        asked = Asked(request.asked_model, request.key.removeprefix("req_"), headers=request.headers)
        return Crossing(request.protocol, request.protocol, asked)


def _nobody(error: ApiError, begun: bool) -> None:
    return


def _never() -> bool:
    return False


def _nothing() -> bytes | None:
    return None
