"""What libcurl says of a request's HTTP/2 stream. It says so in its debug messages only."""

from __future__ import annotations

import re

import pycurl

NO_GOAWAY = 1 << 31  # larger than the number of any stream
_OPENED = re.compile(rb"\[(\d+)\] OPENED stream")
_GOAWAY = re.compile(rb"received GOAWAY.*last_stream=(\d+)")


class Stream:
    """The stream of a handle's present request. number: 0 = there is none, as with HTTP/1.1. refused: the upstream
    refused it. last: the last stream that a GOAWAY leaves. libcurl reports a GOAWAY to one of the handles that share a
    connection."""

    __slots__ = ("last", "number", "refused")

    def __init__(self) -> None:
        self.clear()

    def __repr__(self) -> str:
        return f"<Stream {self.number}>"

    def clear(self) -> None:
        """Another request begins."""
        self.number, self.refused, self.last = 0, False, NO_GOAWAY

    def listen(self, curl: pycurl.Curl) -> None:
        """Lets libcurl call `remark` with its debug messages."""
        curl.setopt(pycurl.VERBOSE, 1)
        curl.setopt(pycurl.DEBUGFUNCTION, self.remark)

    def remark(self, kind: int, text: bytes) -> None:
        """DEBUGFUNCTION: a debug message of libcurl."""
        if kind != pycurl.INFOTYPE_TEXT:
            return
        if b"refused by server" in text:
            self.refused = True
        elif found := _OPENED.search(text):
            self.number = int(found[1])
        elif found := _GOAWAY.search(text):
            self.last = int(found[1])
