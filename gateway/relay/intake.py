"""The body of a relayed request, from its client to the upstream: JSON is gathered, a form passes through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.flow import outline, upstream_request
from gateway.flow.client_request import ClientRequest
from gateway.flow.ports import Ports
from gateway.http import body_decoding, header_rules
from gateway.relay.form import MultipartForm, boundary_of
from gateway.relay.upload import AHEAD_BYTES, KEPT_BYTES, Reading, Upload
from translate.failures.errors import ApiError, BadRequest
from upstream.request import Body

SLOWEST = 16 * 1024  # bytes: for each so many that have come, an upload may take a second more
_JSON_TOO = ("audio/speech", "images/")  # these may be asked for by JSON as well


class Intake:
    """The body of one request. read: all of it is here. upload: None = it is JSON, or there is none. broke: is told why
    nothing more of it can be taken."""

    def __init__(
        self, ports: Ports, request: ClientRequest, most_bytes: int, broke: Callable[[ApiError], None]
    ) -> None:
        self.read = False
        self.upload: Upload | None = None
        self._ports = ports
        self._request = request
        self._most = most_bytes
        self._broke = broke
        self._form: MultipartForm | None = None
        self._known = False  # whether the model is known; all before it is kept
        self._news = asyncio.Event()  # more of the body has come, or its end
        self._blocked_s = 0.0  # for how long the upstream did not take anything

    def __repr__(self) -> str:
        return f"<Intake {self.upload or self._request!r}>"

    def begins(self, path: str, *, names_model: bool) -> None:
        """Takes the head. names_model: the form has a field that says where it goes. Raises ApiError."""
        headers, task = self._request.headers, self._request.task
        kind = headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() != "multipart/form-data":
            if not names_model or not task.startswith(_JSON_TOO):
                raise ApiError("invalid_request", f"{path} takes a form: Content-Type: multipart/form-data", 415)
            return
        if body_decoding.unpacker(headers.get("Content-Encoding"), self._most) is not None:
            raise ApiError("invalid_request", "a form is sent without Content-Encoding", 415)
        boundary = boundary_of(kind)
        length = headers.get("Content-Length", "")
        self.upload = Upload(int(length[:20]) if length.isdecimal() and length.isascii() else -1, self._most)
        self.upload.check(self.upload.length)
        most = KEPT_BYTES + AHEAD_BYTES
        self._request.hold(most if self.upload.length < 0 else min(most, self.upload.length))
        if names_model:
            self._form = MultipartForm(boundary)

    def comes(self, chunk: bytes) -> Awaitable[None] | None:
        """Takes a piece of the body. What it returns is awaited before more is read from the client."""
        if self.upload is None:
            self._request.comes(chunk)
            return None
        self._request.size += len(chunk)
        return self._comes(self.upload, chunk)

    async def _comes(self, upload: Upload, chunk: bytes) -> None:
        try:
            if self._form is not None:
                self._form.feed(chunk)
                self._request.pictures = self._form.pictures
            before = self._ports.now()
            await upload.comes(chunk)
            self._blocked_s += self._ports.now() - before
            self._known = self._form is not None and self._form.model is not None
        except ApiError as error:
            self._broke(error)
        self._news.set()

    def ends(self) -> None:
        self.read = True
        if self.upload is not None:
            self.upload.ends()
        self._news.set()

    def close(self) -> None:
        """Nobody wants the body any more."""
        self._broke = _nobody
        if self.upload is not None:
            self.upload.close()

    def too_slow(self, began: float) -> ApiError | None:
        """Returns why the client is no longer waited for. began: when its request began."""
        if self.read:
            return None
        size, patience = self._request.size, self._ports.body_timeout_s
        if self._ports.now() - began - self._blocked_s <= patience + size / SLOWEST:
            return None
        return upstream_request.too_slow(patience, f": {size} bytes came")

    async def until_the_model(self) -> None:
        """Returns once the model is known. Raises ApiError."""
        form, request = self._form, self._request
        while not self.read and not self._known:
            self._news.clear()
            await self._news.wait()
        if form is None:
            request.ends()
            request.read_outline()
        elif form.model is None:
            raise BadRequest("model: field required", "model")
        else:
            request.asked_model = outline.name(request.in_path) if request.in_path else form.model

    # ---------------------------------------------------------------------------------------- to an upstream

    @property
    def replayable(self) -> bool:
        """Whether another attempt can get all of the body."""
        return self.upload is None or self.upload.replayable

    def onward(self, model: str, lines: list[str]) -> tuple[bytes | Body, list[str]]:
        """Returns the body for an upstream that calls the model by this name, and the header lines that go with it."""
        request, upload = self._request, self.upload
        if upload is None:
            return request.body_for(model), lines
        kind = header_rules.line("Content-Type", request.headers.get("Content-Type", "")).decode("latin-1").strip()
        lines = [*(line for line in lines if not line.lower().startswith("content-type:")), kind]
        renamed = self._form is not None and model != self._form.model
        reading = Reading(upload, self._form.span, model.encode()) if renamed and self._form else Reading(upload)
        return reading, [*lines, "Transfer-Encoding: chunked"] if reading.size < 0 else lines


def _nobody(error: ApiError) -> None:
    return
