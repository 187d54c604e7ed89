"""Masks secrets by value in everything that the proxy writes or shows.

A Redaction knows the secrets of the settings and the keys that clients have sent. Logs, error bodies and admin pages go
through it. It looks for values, not for names of fields, because a secret may be anywhere: in the error of an upstream,
or in a prompt. The keys of clients are kept in memory only, the latest of them. A key of a client counts only if it
looks like a key; otherwise a client could remove any word from the logs.

The head of each reply is searched, so that a search must not take longer with each further key. Where there are many
secrets, every second word of eight bytes of the data is looked up in a set: each secret of LONG bytes or more has one
of its first pieces there, wherever it begins.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import ujson

MASK = "[secret]"
MIN_SECRET = 8  # the fewest characters of a secret of the settings; shorter ones are parts of common words
MIN_SENT = 12
MAX_SENT = 128  # the latest ones; until all is made anew, up to as many others stay
MAX_SENT_LENGTH = 4096
WORD = 8  # bytes that are looked up at once
STEP = 2 * WORD  # from one of them to the next one
LONG = STEP + WORD - 1  # so long a secret has a whole one, wherever it begins
MANY = 24  # so many long secrets are not looked for one by one, which takes as long for short data
MAX_CLEAN = 1024  # how many texts are known to have no secret
MAX_CLEAN_LENGTH = 256  # of such a text

# RFC 6750's b64token, and other characters of keys. Quotes, commas and blanks are not among them: they separate the
# values of a line.
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9._~+/=:@!#$%&*|-]+")
_CLASSES = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"[0-9]"))


def worth_masking(secrets: Iterable[str]) -> list[str]:
    """The secrets that are long enough, longest first. Each is there as it is, as inside a JSON string, and as inside a
    JSON string that is itself within a string (a body in a log line)."""
    long = {secret for secret in secrets if len(secret) >= MIN_SECRET}
    for _ in range(2):
        long |= {ujson.dumps(secret, escape_forward_slashes=False)[1:-1] for secret in long}
        long |= {ujson.dumps(secret, ensure_ascii=False, escape_forward_slashes=False)[1:-1] for secret in long}
        long |= {json.dumps(secret).replace("/", r"\/")[1:-1] for secret in long if "/" in secret}
    return sorted(long, key=lambda secret: (-len(secret), secret))


def looks_like_a_key(text: str) -> bool:
    """Tells whether a text may be a key: long, without unusual characters, and with two of lower case, upper case and
    digits. "not-needed", "anthropic" and "completed" are not keys."""
    if not MIN_SENT <= len(text) <= MAX_SENT_LENGTH or not _LIKE_A_KEY.fullmatch(text):
        return False
    return sum(1 for kind in _CLASSES if kind.search(text)) > 1


class _Form(NamedTuple):
    """One spelling of a secret, as text and as bytes. first_words: the words that it may begin with in data, where it
    is long."""

    text: str
    data: bytes
    first_words: frozenset[int]


def _forms(secrets: Iterable[str]) -> list[_Form]:
    return [_form(text, text.encode("utf-8", "backslashreplace")) for text in worth_masking(secrets)]


def _form(text: str, data: bytes) -> _Form:
    starts = range(STEP) if len(data) >= LONG else ()
    return _Form(text, data, frozenset(int.from_bytes(data[at : at + WORD], sys.byteorder) for at in starts))


def _longest_first(form: _Form) -> tuple[int, str]:
    return -len(form.data), form.text


class _Known(NamedTuple):
    """All secrets, longest first; texts, datas: the same without their words. words: the first words of the long ones,
    if there are many of these; else none. long: how many these are; the others are looked for one by one also where no
    such word is. clean: texts that have no secret."""

    forms: list[_Form]
    texts: list[str]
    datas: list[bytes]
    words: set[int]
    long: int
    clean: set[str]

    def first(self, data: bytes) -> int:
        """Which is the first of the secrets that may be in the data; only where there are words."""
        there = memoryview(data)[: len(data) // WORD * WORD].cast("Q")[:: STEP // WORD]
        return self.long if self.words.isdisjoint(there) else 0

    def more(self, forms: Iterable[_Form]) -> _Known:
        """These and further ones. But for copies of the lists, it takes as long for many as for few. The words are
        shared: one too many only has the secrets looked for one by one."""
        found, texts, datas, long = self.forms.copy(), self.texts.copy(), self.datas.copy(), self.long
        for form in forms:
            at = bisect_left(found, _longest_first(form), key=_longest_first)
            found.insert(at, form)
            texts.insert(at, form.text)
            datas.insert(at, form.data)
            long += bool(form.first_words)
            if self.words:
                self.words.update(form.first_words)
        return _Known(found, texts, datas, self.words, long, set()) if self.words or long < MANY else _known(found)


def _known(forms: Iterable[_Form]) -> _Known:
    found = sorted(forms, key=_longest_first)
    long = [form.first_words for form in found if form.first_words]
    words: set[int] = set().union(*long) if len(long) >= MANY else set()
    return _Known(found, [form.text for form in found], [form.data for form in found], words, len(long), set())


class Redaction:
    """The secrets of a process. text() and data() mask them, and may be called in any thread; only one thread may call
    the other methods."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._own = frozenset(secrets)
        # By key. The forms are kept, as they are expensive to make.
        self._sent: OrderedDict[str, list[_Form]] = OrderedDict()
        self._known = _known(())
        self._own_forms = _forms(self._own)
        self._minted: dict[str, list[list[_Form]]] = {}  # by source: the keys that are in use, the latest last
        self._learn()

    def __repr__(self) -> str:
        return f"<Redaction of {len(self._own)} secrets, {len(self._sent)} keys of clients>"

    def configure(self, secrets: Sequence[str]) -> None:
        """Takes over the secrets of changed settings. The old ones are kept for a while like clients' keys, because a
        running request may still use one."""
        new = frozenset(secrets)
        for gone in self._own - new:
            if len(gone) >= MIN_SECRET:
                self._sent[gone] = _forms([gone])
        self._own = new
        self._own_forms = _forms(new)
        self._learn()

    def minted(self, source: str, secrets: Iterable[str]) -> None:
        """A source has given a new key. The one before is kept, because a running request may still use it."""
        self._minted[source] = [*self._minted.get(source, []), _forms(secrets)][-2:]
        self._learn()

    def saw(self, keys: Iterable[str]) -> None:
        """Adds keys that a client has sent. A known key costs almost nothing. The cost of a new one does not depend on
        how many are known, because a client may send a new one with each request."""
        for key in keys:
            if key in self._sent:
                self._sent.move_to_end(key)
            elif key not in self._own and looks_like_a_key(key):
                self._sent[key] = forms = _forms([key])
                if len(self._sent) > 2 * MAX_SENT:
                    self._learn()
                else:
                    self._known = self._known.more(forms)

    def text(self, text: str) -> str:
        """The text with its secrets masked. A text that was clean before, as most names of models and programs are,
        costs almost nothing."""
        known = self._known
        if text in known.clean:
            return text
        masked = text
        texts = known.texts
        if known.words:
            texts = texts[known.first(text.encode("utf-8", "backslashreplace")) :]
        for secret in texts:
            if secret in masked:
                masked = masked.replace(secret, MASK)
        if masked is text and len(text) <= MAX_CLEAN_LENGTH:
            if len(known.clean) >= MAX_CLEAN:
                known.clean.clear()
            known.clean.add(text)
        return masked

    def data(self, data: bytes) -> bytes:
        """The bytes with their secrets masked."""
        known = self._known
        for secret in known.datas[known.first(data) :] if known.words else known.datas:
            if data.rfind(secret) >= 0:  # it takes a fifth of the time of `in`
                data = data.replace(secret, MASK.encode())
        return data

    def _learn(self) -> None:
        """Makes new lists and does not change the old ones, because another thread may be reading them. What was clean
        may have one of the new secrets."""
        while len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)
        made = itertools.chain.from_iterable(itertools.chain.from_iterable(self._minted.values()))
        self._known = _known({*self._own_forms, *made, *itertools.chain.from_iterable(self._sent.values())})
