"""Redaction by value: one object knows what must not be shown, and takes it out of whatever is written or shown.

It knows the settings' secrets and the keys that clients brought; logs, error bodies and admin pages all go through it.
By value and not by name, since a secret turns up where nobody looked for one: in an upstream's error, in a prompt. The
keys of clients are held in memory only, the latest MAX_SENT. What does not look like a key is not taken for one, or a
client could blank any word it likes out of the logs.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import ujson

MASK = "[secret]"
MIN_SECRET = 8  # characters of a configured one; shorter ones stand in innocent words
MIN_SENT = 12
MAX_SENT = 128
MAX_SENT_LENGTH = 4096

# RFC 6750's b64token, and what else keys are made of; no quote, comma or blank: those are a line's structure.
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9._~+/=:@!#$%&*|-]+")
_CLASSES = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"[0-9]"))


def worth_masking(secrets: Iterable[str]) -> list[str]:
    """Those long enough, longest first, also as they look inside a JSON string (either way of writing one), and inside
    one of a body that is itself a string of a log line."""
    long = {secret for secret in secrets if len(secret) >= MIN_SECRET}
    for _ in range(2):
        long |= {ujson.dumps(secret, escape_forward_slashes=False)[1:-1] for secret in long}
        long |= {ujson.dumps(secret, ensure_ascii=False, escape_forward_slashes=False)[1:-1] for secret in long}
        long |= {json.dumps(secret).replace("/", r"\/")[1:-1] for secret in long if "/" in secret}
    return sorted(long, key=lambda secret: (-len(secret), secret))


def looks_like_a_key(text: str) -> bool:
    """Keys are long, of few characters, and not all of one kind: "not-needed", "anthropic" and "completed" are none."""
    if not MIN_SENT <= len(text) <= MAX_SENT_LENGTH or not _LIKE_A_KEY.fullmatch(text):
        return False
    return sum(1 for kind in _CLASSES if kind.search(text)) > 1


_Form = tuple[int, str, bytes]
"""How a secret may be written: its length, negative so that the longest come first; the text; its bytes."""


def _forms(secrets: Iterable[str]) -> list[_Form]:
    return [(-len(text), text, text.encode("utf-8", "backslashreplace")) for text in worth_masking(secrets)]


class Redaction:
    """text() and data() give back what they get, less all that is secret. Any thread may ask; one adds."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._own = frozenset(secrets)
        self._sent: OrderedDict[str, list[_Form]] = OrderedDict()  # each with its forms, which cost more than the rest
        self._texts: list[str] = []
        self._datas: list[bytes] = []
        self._own_forms = _forms(self._own)
        self._learn()

    def __repr__(self) -> str:
        return f"<Redaction of {len(self._own)} secrets, {len(self._sent)} keys of clients>"

    def configure(self, secrets: Sequence[str]) -> None:
        """Other settings. Those of before are kept for a while like clients' keys: a request may still hold one."""
        new = frozenset(secrets)
        for gone in self._own - new:
            if len(gone) >= MIN_SECRET:
                self._sent[gone] = _forms([gone])
        self._own = new
        self._own_forms = _forms(new)
        self._learn()

    def saw(self, keys: Iterable[str]) -> None:
        """The keys that a client brought; of no cost for those that were here lately. A new one costs no more however
        many are known: a client may bring another one with each request."""
        for key in keys:
            if key in self._sent:
                self._sent.move_to_end(key)
            elif key not in self._own and looks_like_a_key(key):
                self._sent[key] = _forms([key])
                self._learn()

    def text(self, text: str) -> str:
        for secret in self._texts:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def data(self, data: bytes) -> bytes:
        for secret in self._datas:
            if secret in data:
                data = data.replace(secret, MASK.encode())
        return data

    def _learn(self) -> None:
        """Makes new lists and changes none, because another thread may be going through them."""
        while len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)
        known = sorted({*self._own_forms, *itertools.chain.from_iterable(self._sent.values())})
        self._datas = [data for _, _, data in known]
        self._texts = [text for _, text, _ in known]
