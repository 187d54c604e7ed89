"""The little language of the inputs: bytes as text, in which a few marks stand for what is long or cannot be seen.

<<N*TEXT>> is TEXT N times, <<xHH>> the byte HH, <<gzip TEXT>> the text packed by gzip; marks may stand within one
another. A line's end in a .http file is CRLF, unless <<lf>> or <<cr>> says otherwise; a backslash at its end joins the
next line to it. <<length>> is the length of what comes after the head.
"""

from __future__ import annotations

import gzip
import re

_INNERMOST = re.compile(rb"<<((?:(?!<<|>>).)*)>>", re.S)
_TIMES = re.compile(rb"(\d+)\*(.*)", re.S)


def made(text: bytes) -> bytes:
    """The bytes that are meant."""
    while _INNERMOST.search(text):
        text = _INNERMOST.sub(lambda mark: _meant(mark[1]), text)
    return text


def request(text: bytes) -> bytes:
    """A .http file's bytes as they go over the wire."""
    text = text.replace(b"\\\n", b"").replace(b"\n", b"\r\n")
    head, blank, body = text.partition(b"\r\n\r\n")
    body = made(body.removesuffix(b"\r\n"))
    return made(head.replace(b"<<length>>", b"%d" % len(body))) + blank + body


def _meant(mark: bytes) -> bytes:
    if mark in (b"cr", b"lf"):
        return {b"cr": b"\r", b"lf": b"\n"}[mark]
    if times := _TIMES.fullmatch(mark):
        return times[2] * int(times[1])
    if mark.startswith(b"gzip "):
        return gzip.compress(mark[5:], 9, mtime=0)
    if mark.startswith(b"x"):
        return bytes.fromhex(mark[1:].decode())
    raise ValueError(f"<<{mark.decode('latin-1')[:40]}>> is no mark")
