"""Same protocol in and out: the upstream's bytes pass unchanged, and are only watched.

The watch costs a reference per chunk. At the start it holds back what comes before the first real event, so that an
error there can still become a real status. At the end it looks at the last bytes: whether the terminal event was among
them (a stream that just stops must not look complete to the client), and which usage they tell. A line that is not
whole yet waits, so that no client is left with half an event when the upstream breaks off. The model's name is put back
only where the client asked for another name than the upstream knows.
"""

from __future__ import annotations

import re

from gateway.passing.opening import MAX_ERROR_BYTES, Opening, complaint, error_of, failure_at_end, is_error
from gateway.passing.usage_chunk import UsageChunk
from translate import dialects
from translate.conversation import Usage
from translate.counting import usage
from translate.failures import errors
from translate.json import wire
from translate.json.lenient import NOTHING, body_of
from translate.target import Protocol

_ERROR = re.compile(rb'\{\s*"(?:error"\s*:\s*[{"]|type"\s*:\s*"error")')  # how a body that is an error begins
_TOLD = re.compile(rb'"error"\s*:\s*[{"]')  # in a small one it may stand anywhere: behind Anthropic's request_id, say
_DATA = re.compile(rb"(?:^|[\r\n])(?:data|error):")  # every stream has one of these
_TELLS = re.compile(rb'"error"\s*:\s*[{"\[]|(?:^|[\r\n])(?:event: ?)?error|\.failed')  # what speaks of an error
_BLANK = (b"\n\n", b"\r\n\r\n", b"\r\r")
MAX_LINE_BYTES = 1 << 20  # a longer line does not wait for its end
TAIL_BYTES = 12 * 1024  # the last events, with the longest lists of search results seen in a final chunk
SPARE_BYTES = 2048  # so many more may come before the tail is cut again

_LONGEST_TERMINAL = 64  # bytes of the pattern for a terminal event


class Passthrough:
    """A reply that passes as it is; see translate.dialect.Reply."""

    __slots__ = ("_dialect", "_echo", "_edits", "_head", "_held", "_judges", "_marks", "_opening", "_room", "_spelling",
                 "_tail", "_tail_size", "_tier", "_told", "_unasked", "_usage", "_waits", "_whole", "ended", "fault",
                 "started")  # fmt: skip

    goes_on = False

    def __init__(
        self, protocol: Protocol, echo: str = "", unasked: UsageChunk | None = None, *, waits: bool = True,
        judges: bool = False,
    ) -> None:  # fmt: skip
        """echo: the model's name to put back, "" for none. unasked: takes out the usage that only the proxy has asked
        for. Without both, every byte stays as it is. waits: the opening waits for the first word (opening.py). judges:
        a whole reply that has the protocol's form may be an error all the same."""
        self._dialect = dialects.of(protocol)
        self._marks = self._dialect.marks
        self._echo = echo
        self._unasked = unasked
        self._edits = bool(echo or unasked)
        self._spelling = (b"", b"")  # of the line's model, as the upstream writes it and as the client gets it
        self._head = b""  # its first bytes, if the protocol needs them to write an error at the end
        self._waits = waits
        self._judges = judges
        self._opening: Opening | None = None  # what has come of it, until the client gets the first bytes
        self._held = bytearray()  # is appended to, as a line may come byte by byte
        self._tail: list[bytes] = []
        self._tail_size = 0
        self._room = SPARE_BYTES
        self._told = False  # the terminal event has begun, and is longer than what is remembered
        self._tier = ""  # of service, as the beginning of that event tells it; its end tells the usage
        self._usage: Usage | None = None  # as told by the part that is no longer remembered
        self._whole = False  # the reply was no stream
        self.started = False
        self.ended = False  # only the upstream's close ends a stream whose bytes are not ours to judge
        self.fault: errors.ApiError | None = None

    def __repr__(self) -> str:
        return f"<Passthrough {self._dialect.name} {'started' if self.started else 'waiting'}>"

    def whole(self, raw: bytes, streamed: bool = False) -> bytes:
        """Returns the reply. Raises BadReply for a body that is no reply at all: the client's JSON parser should not
        have to find that out."""
        text = raw.strip()
        good = text[:1] == b"{" and text[-1:] == b"}"
        if not good and not (streamed and _DATA.search(raw)):
            what = "an empty body" if not text else "an HTML page" if text[:1] == b"<" else "a cut-off or non-JSON body"
            begins = f": {text[:120].decode('utf-8', 'replace')}" if text else ""
            message = f"the upstream answered 200 with {what}{begins}"
            raise errors.BadReply(message, is_page=text[:1] == b"<", is_empty=not text)
        told = _ERROR.match(text) or (len(text) <= MAX_ERROR_BYTES and _TOLD.search(text))
        if told and is_error(text):  # some servers answer 200 with an error
            self.fault = error_of(text)
            raise self.fault
        if good and not text[1:-1].strip():
            raise errors.BadReply(NOTHING, is_empty=True)
        complains, is_reply = complaint(text, errors.remark), False
        if complains is None and self._judges and good:
            complains, is_reply = self._dialect.broken(text), self._dialect.keeps_failed
        if complains is None or is_reply:
            self._tail = [raw]
            self._whole = not streamed or text[:1] == b"{"
        if complains is not None:
            self.fault = complains
            raise complains
        return self._renamed_once(raw) if self._echo and not streamed else raw

    @property
    def failed(self) -> bytes:
        """A whole reply that says of itself that it has failed, as the client gets it if nobody else is asked; b"" =
        it is none."""
        raw = b"".join(self._tail) if self._whole and self.fault is not None else b""
        return self._renamed_once(raw) if self._echo else raw

    def whole_as_stream(self, raw: bytes) -> bytes:
        """Returns the reply as a stream; only for a dialect that has as_stream."""
        body = body_of(self.whole(raw))
        assert self._dialect.as_stream is not None
        out = self._dialect.as_stream(body)
        self.started = self.ended = True
        return out

    def begin(self) -> bytes:
        """Returns what has opened the stream, if it is open: the client waits for a sign of life."""
        return self._opened() if self.opened else b""

    def feed(self, chunk: bytes) -> bytes:
        if not self.started:
            if self._opening is not None or not self._has_word(chunk):
                opening = self._opening = self._opening or self._begun()
                if not opening.begins(chunk):
                    self.fault = opening.fault
                    return b""
                chunk = bytes(opening.held)
            self._starts(chunk)
        size = self._tail_size = self._tail_size + len(chunk)
        self._tail.append(chunk)
        if size > self._room:
            self._forget()
        if self._held or chunk[-1:] != b"\n":
            chunk = self._lines(chunk)
        return self._edited(chunk) if self._edits else chunk

    def _forget(self) -> None:
        """Joins the remembered chunks, which halves their memory. If they are too long, the oldest events are dropped,
        after the usage that they tell was read."""
        last = b"".join(self._tail)
        if len(last) > TAIL_BYTES + SPARE_BYTES:
            if (begins := self._marks.long_terminal) is not None:  # it holds the whole reply
                begun = None if self._told else begins.search(last, 0, len(last) - TAIL_BYTES + _LONGEST_TERMINAL)
                if self._told and not self._tier:
                    self._tier = usage.tier_in(last)
                if begun is not None:
                    self._told, self._tier = True, usage.tier_in(last, begun.start())
                    self.fault = self._dialect.fails(b"", b"{" + last[begun.start() :])
            cut = self._end_of_events(last, len(last) - TAIL_BYTES)
            most = usage.MAX_EVENTS if self._usage is None else 2  # each event tells the whole usage
            self._usage = usage.in_stream(self._dialect.usage, last[:cut], self._usage, most)
            last = last[cut:]
        self._tail, self._tail_size, self._room = [last], len(last), len(last) + SPARE_BYTES

    def _end_of_events(self, last: bytes, most: int) -> int:
        """Returns how many bytes to forget, `most` or a few less: up to the last blank line, or up to the middle of an
        event that is longer than what is remembered, and that may be the last one."""
        blank, size = last.rfind(b"\n\n", 0, most), 2
        if blank < 0 and b"\r" in last:
            blank, size = last.rfind(b"\r\n\r\n", 0, most), 4
        if self._marks.long_terminal is None:  # a long event that is not the last one does not end the stream
            is_cut = blank < 0 and self._marks.terminal.search(last, 0, most + _LONGEST_TERMINAL) is not None
            self._told = is_cut or (self._told and blank < 0)
        return most if blank < 0 else blank + size

    def _lines(self, chunk: bytes) -> bytes:
        """Returns whole lines. The start of a line waits for its rest, unless it is huge."""
        cut = (chunk.rfind(b"\n") if b"\n" in chunk else chunk.rfind(b"\r")) + 1
        out = b""
        if cut:
            self._held += chunk[:cut]
            out = self._let_go()
        self._held += chunk[cut:]
        return out + self._let_go() if len(self._held) > MAX_LINE_BYTES else out

    def _let_go(self) -> bytes:
        out = bytes(self._held)
        self._held.clear()
        return out

    def end(self) -> bytes:
        """Returns what to add when the upstream has closed: nothing if the stream had its terminal event, else an error
        event."""
        opening = self._opening
        if opening is not None and opening.ends() and self._marks.terminal.search(opening.held):
            out = bytes(opening.held)  # no blank line follows the one event
            self._starts(out)
            return out
        if opening is not None and (fault := opening.later or opening.fault) is not None:
            self.fault = fault
            return b""
        if self.started:
            return self.fail(errors.BadReply("the upstream closed the stream before its end"))
        what = "closed the stream before its end" if self.opened else "answered 200 with an empty stream"
        self.fault = errors.BadReply(f"the upstream {what}", is_empty=opening is None or opening.is_blank)
        return b""

    @property
    def opened(self) -> bool:
        """Whether its opening has come, and waits."""
        return self._opening is not None and self._opening.opened

    @property
    def has_failed(self) -> bool:
        """Whether an error has come right after its opening, and both wait."""
        return self._opening is not None and self._opening.later is not None

    def fail(self, error: errors.ApiError) -> bytes:
        """Returns an error event, if the stream has begun and not ended. An opening that waits goes before it, as it
        came; an error that it tells by itself is an end."""
        out = self._opened() if self.opened else b""
        if not self.started:
            self.fault = error
            return b""
        return out + self._close(error)

    def _opened(self) -> bytes:
        """Lets the opening go, and what has come behind it."""
        assert self._opening is not None
        come = bytes(self._opening.held)
        self._starts(come)
        return self.feed(come)

    def _has_word(self, chunk: bytes) -> bool:
        """Whether a stream that begins with this chunk plainly says something, before any error: nearly all do. Only
        what comes before the word is read twice, as the chunk may be the whole stream."""
        word = self._marks.content.search(chunk) if b"delta" in chunk else None
        if word is None:
            return False
        end = word.end()
        may_tell = chunk.find(b"error", 0, end) >= 0 or chunk.find(b".failed", 0, end) >= 0
        return not may_tell or _TELLS.search(chunk, 0, end) is None

    def _begun(self) -> Opening:
        dialect = self._dialect
        return Opening(dialect.opens, dialect.fails) if self._waits else Opening(_never, _none)

    def _starts(self, come: bytes) -> None:
        """The client gets the first bytes now."""
        self.started, self._opening = True, None
        self._head = come[: self._marks.head_bytes]

    def _close(self, error: errors.ApiError) -> bytes:
        """Returns what still waits, and an error event if the stream has not ended. Half a line is dropped then."""
        held = self._let_go()
        sent = b"".join(self._tail)
        if half := held and not _is_whole(held):
            sent = sent[: -len(held)]
            if (begins := self._marks.long_terminal) is not None and begins.search(held):
                self._told = False  # the terminal event is the line that was cut
        if not self._has_ended(sent):
            self.fault = error
            rest = b"" if half else held
            said = self._dialect.errors.last(error, self._head, sent, self._echo)
            return (self._edited(rest) if self._edits else rest) + _closing(sent) + said
        self.fault = self.fault or failure_at_end(sent, self._dialect.fails)
        if half and _DATA.match(held):  # of the usage, say, after the last word: readers of lines fail at half of one
            return b""
        return self._edited(held) if self._edits else held

    @property
    def usage(self) -> Usage | None:
        """The usage that the reply has told so far. It is read only when somebody asks."""
        told = b"".join(self._tail) if self._opening is None else bytes(self._opening.held)
        if self._whole:
            return usage.in_body(self._dialect.usage, told)
        said = usage.in_stream(self._dialect.usage, told, self._usage)
        return usage.with_terms(said, self._tier) if self._tier else said

    @property
    def complete(self) -> bool:
        """Whether the reply has come to its good end, so that it has told its usage."""
        return self._whole or (self.fault is None and self._has_ended(b"".join(self._tail)))

    @property
    def says_no_more(self) -> bool:
        """Whether nothing more can come, though the upstream leaves the stream open."""
        sent, marks = b"".join(self._tail), self._marks
        if marks.last is None or self._held or not sent.endswith(_BLANK):
            return False
        return (self._told and marks.long_terminal is not None) or marks.last.search(sent) is not None

    @property
    def sample(self) -> bytes:
        """The latest part of the stream, to estimate the tokens of a reply that has not told its usage."""
        return b"".join(self._tail)

    def ping(self) -> bytes:
        """Returns a sign of life; nothing while an event is half written."""
        if self.started:
            sent = b"".join(self._tail)
            if not sent.removesuffix(self._held).endswith(_BLANK):
                return b""
        return self._marks.ping if self.started else self._marks.comment

    def _has_ended(self, tail: bytes) -> bool:
        """Returns whether the terminal event was seen. It is nearly always in the very last bytes."""
        terminal = self._marks.terminal
        return bool(self._told or terminal.search(tail[-200:]) or terminal.search(tail))

    def _edited(self, data: bytes) -> bytes:
        if self._unasked is not None:
            data = self._unasked.without(data)
        return self._renamed(data) if self._echo else data

    def _renamed(self, data: bytes) -> bytes:
        """Puts the model's name back in the first "model" of each line. Nearly all lines write it in the same way as
        the line before."""
        theirs, ours = self._spelling
        lines = data.split(b"\n")
        for number, line in enumerate(lines):
            at = line.find(b'"model')
            if at < 0:
                continue
            if theirs and line.startswith(theirs, at):
                lines[number] = b"%b%b%b" % (line[:at], ours, line[at + len(theirs) :])
            else:
                lines[number] = self._renamed_once(line, at)
                theirs, ours = self._spelling
        return b"\n".join(lines)

    def _renamed_once(self, data: bytes, at: int = -1) -> bytes:
        """Puts the model's name back once. at: where the first "model" stands; if that is the one, its spelling is
        remembered."""
        found = self._marks.model.search(data)
        if found is None:
            return data
        ours = b"%b%b%b" % (found[1], wire.inside(self._echo), found[2])
        if found.start() == at:
            self._spelling = found[0], ours
        return data[: found.start()] + ours + data[found.end() :]


def _never(name: bytes, data: bytes) -> bool:
    return False


def _none(name: bytes, data: bytes) -> errors.ApiError | None:
    return None


def _is_whole(line: bytes) -> bool:
    """Returns whether the last line of a stream, which has no line end, is whole all the same."""
    key, _, value = line.partition(b":")
    if key != b"data":
        return False
    try:
        wire.loads(value)
    except ValueError:
        return value.strip() == b"[DONE]"
    return True


def _closing(sent: bytes) -> bytes:
    """Returns the bytes that end a half-written event, so that the next event is read on its own."""
    if sent.endswith(_BLANK):
        return b""
    if not sent.endswith(b"\n"):  # even if all that is remembered is half a line, or half a line end ("\r")
        return b"\n\n"
    begun = sent.replace(b"\r\n", b"\n").rpartition(b"\n\n")[2]
    return b"\n" if _DATA.search(begun) else b""  # if it has no data yet, the event that follows may go on from here
