"""Reads a form (multipart/form-data) as it comes, for what the proxy needs of it: the model, and how many pictures.

The file in it is never held. All of the form is read, because another server might use a second field of the same name,
and so a client could ask for a model that it may not use. The form is read strictly: what two readers could understand
differently is refused.
"""

from __future__ import annotations

import re

from translate import late
from translate.failures.errors import BadRequest

FIELDS = (b"model", b"n")
MOST_NAME = 512  # bytes of the model's name
MOST_HEAD = 16 * 1024  # bytes of the headers of a part
_BOUNDARY = late.pattern(r"""[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]""")
_COUNT = late.pattern(rb"\s*[0-9]{1,9}\s*")
_PARAMETER = late.pattern(rb"""\s*;\s*([\w-]+\*?)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))""")


def boundary_of(content_type: str) -> bytes:
    """Returns the boundary that a Content-Type names. Raises BadRequest."""
    found = re.findall(r';\s*boundary=(?:"([^"]*)"|([^\s;"]+))', content_type, re.I)
    names: list[str] = [quoted or plain for quoted, plain in found]
    if len(names) != 1 or not _BOUNDARY.fullmatch(names[0]):
        raise BadRequest("the Content-Type multipart/form-data names no valid boundary")
    return names[0].encode()


class MultipartForm:
    """A form that is read as it comes. model: its name, None until it is there. span: where the name stands in the
    body, (begin, end). pictures: how many the form asks for, as far as it is known."""

    def __init__(self, boundary: bytes) -> None:
        self.model: str | None = None
        self.span = 0, 0
        self.pictures = 1
        self._delimiter = b"\r\n--" + boundary
        self._held = bytearray(b"\r\n")  # as if a line ended before the first delimiter
        self._at = -2  # where the held bytes begin in the body
        self._step = self._in_part
        self._searched = 0  # how many of the held bytes
        self._field = b""
        self._begins = -1  # where the value of the field begins
        self.ended = False

    def __repr__(self) -> str:
        return f"<MultipartForm {self.model or 'without a model yet'}>"

    def feed(self, chunk: bytes) -> None:
        """Raises BadRequest."""
        if self.ended:
            return  # what follows the last delimiter has no meaning
        self._held += chunk
        while self._step():
            pass

    def _drop(self, size: int) -> None:
        del self._held[:size]
        self._at += size
        self._searched = 0

    def _found(self, what: bytes) -> int:
        """Returns where the text stands, -1 = not yet. What was searched is not searched again."""
        at = self._held.find(what, self._searched)
        if at < 0:
            self._searched = max(0, len(self._held) - len(what) + 1)
        return at

    # ------------------------------------------------------ steps: each returns whether there may be another one

    def _in_part(self) -> bool:
        """Reads the value of a part, up to the delimiter."""
        at = self._found(self._delimiter)
        if self._begins >= 0 and (at if at >= 0 else len(self._held) - len(self._delimiter)) > MOST_NAME:
            name = self._field.decode()
            raise BadRequest(f"{name}: the field is longer than {MOST_NAME} bytes", name)
        if at < 0:
            if self._begins < 0:
                self._drop(self._searched)
            return False
        if self._begins >= 0:
            self._took(bytes(self._held[:at]))
        self._drop(at + len(self._delimiter))
        self._step = self._after_delimiter
        return True

    def _took(self, value: bytes) -> None:
        begins, self._begins = self._begins, -1
        if self._field != b"model":
            self.pictures = max(self.pictures, int(value)) if _COUNT.fullmatch(value) else self.pictures
            return
        if self.model is not None:
            raise BadRequest("model: the form has two fields of this name", "model")
        try:
            self.model = value.decode()
        except UnicodeDecodeError:
            raise BadRequest("model: is not UTF-8 text", "model") from None
        if not self.model or not self.model.isprintable():
            raise BadRequest("model: must be the name of a model", "model")
        self.span = begins, begins + len(value)

    def _after_delimiter(self) -> bool:
        if len(self._held) < 2:
            return False
        if self._held[:2] == b"--":
            self.ended = True
            return False
        if self._held[:2] != b"\r\n":
            raise BadRequest("the form is not valid multipart/form-data: a boundary must end its line")
        self._step = self._in_head
        return True

    def _in_head(self) -> bool:
        """Reads the headers of a part; the line end before them is still held."""
        at = self._found(b"\r\n\r\n")
        if (at if at >= 0 else len(self._held)) > MOST_HEAD:
            raise BadRequest(f"the headers of a part of the form are longer than {MOST_HEAD} bytes")
        if at < 0:
            return False
        self._field = _name(bytes(self._held[:at]))
        self._drop(at + 4)
        self._begins = self._at if self._field in FIELDS else -1
        self._step = self._in_part
        # A delimiter may follow at once: then the line end that belongs to it is the one before the value.
        self._held[:0] = b"" if self._begins >= 0 else b"\r\n"
        self._at -= 0 if self._begins >= 0 else 2
        return True


def _name(head: bytes) -> bytes:
    """Returns the name of a part's field. Raises BadRequest."""
    lines = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-disposition")]
    kind, _, said = lines[0].partition(b":")[2].partition(b";") if len(lines) == 1 else (b"", b"", b"")
    said = b";" + said
    names, at = [], 0
    while (found := _PARAMETER.match(said, at)) is not None:
        at = found.end()
        if found[1].lower().startswith(b"name"):
            names.append((found[1].lower(), found[2] if found[2] is not None else found[3]))
    if kind.strip().lower() != b"form-data" or said[at:].strip() or len(names) != 1 or names[0][0] != b"name":
        raise BadRequest("a part of the form needs one line 'Content-Disposition: form-data; name=\"...\"'")
    return names[0][1]
