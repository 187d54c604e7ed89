"""A libcurl handle that sends one request after another, and keeps its options: only those that differ are set.

Most requests to an upstream differ from the one before in nothing but their body.
"""

from __future__ import annotations

import pycurl

from upstream.request import Request, Signing

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110, 9.2.2: these may be sent twice
BUFFER, SMALL_BUFFER = 64 * 1024, 16 * 1024  # bytes that libcurl keeps for what it sends, as long as a reply streams
SMALL_BODY = SMALL_BUFFER - 4096  # there is a head before it


class PreparedCurl:
    """curl: the handle. The rest are its options as they are now, by which the next request's are compared. shape:
    (method, whether there is a body, whether on a new connection). size: of the body, in bytes. buffer: bytes. connect:
    seconds."""

    __slots__ = ("buffer", "connect", "curl", "headers", "shape", "signing", "size", "url")

    def __init__(self, curl: pycurl.Curl) -> None:
        self.curl = curl
        self.url = ""
        self.headers: list[str] | None = None
        self.shape: tuple[str, bool, bool] | None = None
        self.signing: Signing | None = None
        self.size = -1
        self.buffer = BUFFER
        self.connect = -1.0

    def prepare(self, request: Request) -> None:
        """Sets the options that differ from the last request. Raises ValueError if a header or the URL cannot be
        sent."""
        curl, body = self.curl, request.body
        if request.url != self.url:
            curl.setopt(pycurl.URL, request.url)
            self.url = request.url
        if request.headers != self.headers:
            self._set_headers(request.headers)
        # libcurl may send a request without a body twice, which Handle.read cannot prevent; a new connection does.
        fresh = request.fresh or (not body and request.method not in IDEMPOTENT)
        shape = (request.method, body is not None, fresh)
        if shape != self.shape:
            self._set_method(*shape)
            self.shape = shape
        if request.signing != self.signing:
            self._set_signing(request.signing)
            self.signing = request.signing
        if body is not None and (size := len(body) if isinstance(body, bytes) else body.size) != self.size:
            self.size = size
            curl.setopt(pycurl.POSTFIELDSIZE_LARGE, size)
            if (buffer := SMALL_BUFFER if 0 <= size <= SMALL_BODY else BUFFER) != self.buffer:
                self.buffer = buffer
                curl.setopt(pycurl.UPLOAD_BUFFERSIZE, buffer)  # type: ignore[attr-defined]  # not in the types
        if request.timeouts.connect != self.connect:
            self.connect = request.timeouts.connect
            # for libcurl, 0 means its default of 300 s
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(self.connect * 1000)) if self.connect else 2_000_000_000)

    def hurry(self, spent_s: float) -> None:
        """Shortens the time to connect by the time that the look-up of the address has taken."""
        if self.connect:
            left_s = max(0.001, self.connect - spent_s)
            self.curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(left_s * 1000)))
            self.connect = left_s

    def _set_headers(self, headers: list[str]) -> None:
        text = "".join(headers)
        if "\n" in text or "\r" in text:
            raise ValueError("a header has a line break")
        lines: list[str] | list[bytes] = [*headers, "Expect:"]
        if not text.isascii():
            lines = [line.encode("latin-1") for line in (*headers, "Expect:")]
        self.curl.setopt(pycurl.HTTPHEADER, lines)
        self.headers = headers.copy()

    def _set_method(self, method: str, body: bool, fresh: bool) -> None:
        curl = self.curl
        if body:
            curl.setopt(pycurl.POST, 1)
        elif method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        else:
            curl.setopt(pycurl.HTTPGET, 1)
        if method == ("POST" if body else "HEAD" if method == "HEAD" else "GET"):
            curl.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        curl.setopt(pycurl.FRESH_CONNECT, 1 if fresh else 0)

    def _set_signing(self, signing: Signing | None) -> None:
        """libcurl puts the path into a normal form before it signs it; so it wants to be allowed to."""
        curl = self.curl
        curl.setopt(pycurl.PATH_AS_IS, 0 if signing is not None else 1)
        curl.setopt(pycurl.AWS_SIGV4, signing.provider if signing is not None else "")
        curl.setopt(pycurl.USERAGENT, signing.user_agent if signing is not None else "")
        if signing is not None:
            curl.setopt(pycurl.USERPWD, signing.keys)
        else:
            curl.unsetopt(pycurl.USERPWD)
