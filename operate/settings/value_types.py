"""The kinds of values that settings have: how each is read, what it must be, how it is shown.

A `Kind` turns text into a value or raises ValueError. An empty ValueError means "not what `expects` says";
one with words says more. Nothing is guessed: "12abc" is no port, "1_000" no number. `show` is for
--print-config and hides what is secret; an error about a `private` kind never repeats the value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
<<<<<<< HEAD
from typing import Any
=======
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit
>>>>>>> 6693fc6 (An upstream's key is masked however it is written; headers' values in the settings are secrets unless they are public)

from operate.logs.capture import spelled

MASK = "********"

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
PRINTABLE = re.compile(r"[\x21-\x7e]*")


def as_text(value: Any) -> str:
    """A value as a settings file spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Kind:
    """expects: ends the sentence "... is not"; brief: the same for the shipped file, where it can be shorter.
    private: neither the value nor a part of it may be printed. lines: the value may go over several lines.
    from_file: `file:/path` stands for what that file holds; many: each entry of the list may be one. is_path: what is
    relative counts from the settings file's folder."""

    expects: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = as_text
    private: bool = False
    lines: bool = False
    from_file: bool = False
    many: bool = False
    is_path: bool = False
    brief: str = ""


def whole(low: int, high: int) -> Kind:
    """int within [low, high]."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
            raise ValueError
        return int(text)

    return Kind(f"a whole number from {low} to {high}", parse, brief=f"{low} to {high}")


def processes(high: int) -> Kind:
    """int: 1 to `high`, or as many as this process may use CPUs for "auto", but no more than `high`."""
    number = whole(1, high)

    def parse(text: str) -> int:
        return min(high, len(os.sched_getaffinity(0))) if text.lower() == "auto" else int(number.parse(text))

    return Kind(f"auto or a whole number from 1 to {high}", parse, brief=f"auto or 1 to {high}")


def seconds(low: float, high: float, optional: bool = False) -> Kind:
    """float within [low, high]; with `optional`, None for an empty value."""

    def parse(text: str) -> float | None:
        if optional and not text:
            return None
        if not (_NUMBER.fullmatch(text) and low <= float(text) <= high):
            raise ValueError
        return float(text)

    expects = f"seconds from {low:g} to {high:g}, such as 30 or 1.5" + ", or empty" * optional
    return Kind(expects, parse, brief=f"seconds, {low:g} to {high:g}")


def number(low: float, high: float) -> Kind:
    """float within [low, high]."""
    return replace(seconds(low, high), expects=f"a number from {low:g} to {high:g}", brief=f"{low:g} to {high:g}")


def switch() -> Kind:
    """bool."""
    words = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)

    def parse(text: str) -> bool:
        if text.lower() not in words:
            raise ValueError
        return words[text.lower()]

    return Kind("true or false (or yes/no, on/off, 1/0)", parse, brief="true or false")


def bodies() -> Kind:
    """str: which bodies are logged, as capture.py spells it."""
    return Kind("none, errors, 'sampled N%', or all (or true/false)", spelled, brief="none, errors, sampled 1%, all")


def choice(*words: str, empty: bool = False) -> Kind:
    """One of `words`, any case, given back as written here; with `empty`, "" too."""

    def parse(text: str) -> str:
        if text.lower() in words or (empty and not text):
            return text.lower()
        raise ValueError

    names = ", ".join(words) + ", or empty" * empty
    return Kind(f"one of {names}", parse, brief=names)


def several(words: Callable[[], Collection[str]]) -> Kind:
    """tuple[str, ...]: one or more of the words that there are at that moment, each once, in the order given."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(part.strip().lower() for part in text.split(","))
        if len(set(found)) < len(found) or not set(found) <= set(words()):
            raise ValueError
        return found

    return Kind(f"one or several of {', '.join(words())}, with commas between", parse)


def word(expects: str, empty: bool = True) -> Kind:
    """str without blanks; with `empty`, "" too."""

    def parse(text: str) -> str:
        if len(text.split()) > 1 or not (text or empty):
            raise ValueError
        return text

    return Kind(expects + (", or empty" * empty), parse)


def line(expects: str) -> Kind:
    """str, not empty, on one line."""

    def parse(text: str) -> str:
        if not text:
            raise ValueError
        return text

    return Kind(expects, parse)
<<<<<<< HEAD
=======


def hosts() -> Kind:
    """str: addresses or names to listen on, ", " between; brackets around IPv6 are taken off."""

    def parse(text: str) -> str:
        return ", ".join(dict.fromkeys(one(part.strip()) for part in text.split(",")))

    def one(text: str) -> str:
        bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            if text == "*":
                raise ValueError("'*' is no address; :: or 0.0.0.0 stands for every one") from None
            if not _HOST.fullmatch(text) or text.replace(".", "").isdigit():
                raise ValueError from None
            return text
        return bare

    return Kind("an address or host name without port, such as 127.0.0.1, or several with commas between", parse)


def base_url() -> Kind:
    """Where an upstream is: "https://host[:port][/path]" without a final slash, or "demo:"."""

    def parse(text: str) -> str:
        if text == DEMO:
            return DEMO
        if not text:
            raise ValueError
        parts = _split(text, ("http", "https"))
        if parts.username is not None or parts.password is not None:
            raise ValueError("holds a user name or password before '@'; the key belongs in api_key or headers")
        if "?" in text or "#" in text:
            raise ValueError("ends in '?...' or '#...'; it is only the part that all requests share")
        path = parts.path.rstrip("/")
        paths = {each.upstream for dialect in dialects.every() for each in dialect.endpoints}
        for endpoint in sorted(paths | _OTHER_ENDPOINTS, key=len, reverse=True):
            if path.endswith("/" + endpoint):
                raise ValueError(f"ends in /{endpoint}; leave that out, it is added to every request")
        return f"{parts.scheme}://{parts.netloc}{path}"

    return Kind(f"a URL such as https://api.example.com or http://127.0.0.1:11434/v1, or {DEMO}", parse, private=True)


def proxy_url(none: bool = False) -> Kind:
    """A proxy in front of the upstreams, or ""; it may hold user:password, which is never shown. none: or "none"."""

    def parse(text: str) -> str:
        if none and text.lower() == "none":
            return "none"
        if text:
            _split(text, ("http", "https", "socks4", "socks4a", "socks5", "socks5h"))
        return text

    def show(url: str) -> str:
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{MASK}@{rest.rpartition('@')[2]}" if "@" in rest else url

    return Kind(
        "a URL such as http://10.0.0.1:3128 or socks5h://127.0.0.1:1080" + ", none" * none + ", or empty",
        parse,
        show,
        private=True,
    )


def pem(what: str) -> Kind:
    """The path of a PEM file, or ""; it must be readable."""

    def parse(text: str) -> str:
        if not text:
            return ""
        try:
            with open(text, "rb") as file:
                content = file.read(LARGEST_PEM)
        except OSError as error:
            raise ValueError(f"cannot read {text}: {error.strerror}") from error
        if b"-----BEGIN " not in content:
            raise ValueError(f"{text} holds nothing in PEM (-----BEGIN ...)")
        return os.path.abspath(text)

    return Kind(f"a PEM file with {what}, or empty", parse, is_path=True)


def _split(text: str, schemes: tuple[str, ...]) -> SplitResult:
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("holds a blank or a character that no URL has")
    try:
        parts = urlsplit(text)
        port, name = parts.port, parts.hostname
    except ValueError:
        raise ValueError("has a host or port that cannot be read") from None
    if parts.scheme not in schemes:
        raise ValueError(f"does not begin with {' or '.join(scheme + '://' for scheme in schemes)}")
    if not name or port == 0:
        raise ValueError("names no host, or port 0")
    return parts


def secret(shortest: int = 0) -> Kind:
    """A key that goes into a header. The text comes here with `file:` already followed."""

    def parse(text: str) -> str:
        if not _PRINTABLE.fullmatch(text):
            raise ValueError("holds a blank or a character that no key has")
        if len(text) < shortest:
            raise ValueError(
                f"has {len(text)} characters, fewer than {shortest}; a good one: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
            )
        return text

    expects = f"a key of {shortest} or more characters" if shortest else "a key, or empty"
    return Kind(
        f"{expects}; file:/path reads it from a file",
        parse,
        lambda text: text and MASK,
        private=True,
        from_file=True,
    )


def password() -> Kind:
    """str: goes into no header, so that it may hold anything but a line's end."""
    return replace(secret(), expects="a password, or empty; file:/path reads it from a file", parse=str)


def secrets() -> Kind:
    """tuple[str, ...]: several such keys, each once; empty entries are left out."""
    one = secret()

    def parse(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.parse(part) for part in split(text)))

    return replace(
        one,
        expects="keys with commas between, or empty; file:/path reads one from a file",
        parse=parse,
        show=lambda keys: ", ".join([MASK] * len(keys)),
        lines=True,
        many=True,
    )


def split(text: str) -> list[str]:
    """The entries of a list, which commas or lines separate."""
    return list(filter(None, map(str.strip, text.replace("\n", ",").split(","))))


def statuses(low: int, high: int, further: tuple[int, ...]) -> Kind:
    """tuple[int, ...]: HTTP statuses within [low, high] or among `further`, each once."""
    known = {*range(low, high + 1), *further}

    def parse(text: str) -> tuple[int, ...]:
        found = split(text)
        if not all(part.isascii() and part.isdigit() and len(part) == 3 and int(part) in known for part in found):
            raise ValueError
        return tuple(dict.fromkeys(map(int, found)))

    also = "".join(f" or {status}," for status in further)
    return Kind(f"statuses from {low} to {high},{also} with commas between, or empty", parse)


def origins() -> Kind:
    """tuple[str, ...]: origins of web pages in lower case, or all of a scheme, or "*"."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(each.removesuffix("/") for each in filter(None, map(str.strip, text.lower().split(","))))
        if not all(each == "*" or _ORIGIN.fullmatch(each) for each in found):
            raise ValueError
        return tuple(dict.fromkeys(found))

    return Kind(
        "origins with commas between, such as https://chat.example.org, app://obsidian.md or chrome-extension://*; "
        "* for any; or empty",
        parse,
        brief="origins, *, or empty",
    )


def names(never: tuple[str, ...] = (), what: str = "names of fields") -> Kind:
    """tuple[str, ...]: words with commas between, each once; none of `never`."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(filter(None, map(str.strip, text.split(","))))
        if any(len(name.split()) > 1 for name in found):
            raise ValueError
        for name in found:
            if name in never:
                raise ValueError(f"{name} cannot be left out of a request")
        return tuple(dict.fromkeys(found))

    return Kind(f"{what} with commas between, or empty", parse)


def renames() -> Kind:
    """tuple[tuple[str, str], ...]: "a=b, c=d"."""

    def parse(text: str) -> tuple[tuple[str, str], ...]:
        pairs = []
        for part in filter(None, map(str.strip, text.split(","))):
            old, equals, new = (piece.strip() for piece in part.partition("="))
            if not equals or len(old.split()) != 1 or len(new.split()) != 1:
                raise ValueError
            pairs.append((old, new))
        return tuple(pairs)

    return Kind("FIELD=NEWNAME, several with commas between, or empty", parse, as_pairs)


def limits(high: int) -> Kind:
    """tuple[tuple[str, int], ...]: (glob of model names, limit), the longer globs first; a bare number is for all."""

    def parse(text: str) -> tuple[tuple[str, int], ...]:
        pairs = {}
        for part in filter(None, map(str.strip, text.split(","))):
            pattern, equals, number = (piece.strip() for piece in part.rpartition("="))
            pattern = pattern if equals else "*"
            if not (pattern and number.isascii() and number.isdigit() and len(number) < 19 and int(number) <= high):
                raise ValueError
            if pattern in pairs or len(pattern.split()) > 1:
                raise ValueError
            pairs[pattern] = int(number)
        if not pairs:
            raise ValueError
        return tuple(sorted(pairs.items(), key=lambda pair: -len(pair[0])))

    return Kind(f"a number up to {high}, or MODEL-GLOB=NUMBER, several with commas between", parse, as_limits)


def as_pairs(value: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{name}={text}" for name, text in value)


def as_limits(value: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(str(number) if pattern == "*" else f"{pattern}={number}" for pattern, number in value)


class Header(NamedTuple):
    """public: its value may be shown; that of any other is a secret."""

    name: str
    value: str
    public: bool = False


_PUBLIC_HEADERS = frozenset(
    ("accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta", "user-agent")
)


def headers() -> Kind:
    """tuple[Header, ...]: the lines "Name: value" or "public Name: value", in order, names as written."""

    def parse(text: str) -> tuple[Header, ...]:
        found = []
        for each in filter(None, map(str.strip, text.split("\n"))):
            name, colon, value = (part.strip() for part in each.partition(":"))
            mark, blank, marked = name.partition(" ")
            if is_marked := bool(blank) and mark.lower() == "public":
                name = marked.strip()
            if not colon or not _HEADER_NAME.fullmatch(name):
                raise ValueError
            if name.lower() in HOP_HEADERS:
                raise ValueError(f"{name} belongs to the connection, not to the settings")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the value of {name} holds a character that no header has")
            is_public = not is_secret_header(name) and (is_marked or name.lower() in _PUBLIC_HEADERS)
            found.append(Header(name, value, is_public))
        return tuple(found)

    def show(value: tuple[Header, ...]) -> str:
        return "; ".join(f"{header.name}: {header.value if header.public else MASK}" for header in value)

    return Kind("lines of 'Name: value'", parse, show, private=True, lines=True)


def header_names() -> Kind:
    """tuple[str, ...]: in lower case; none that belongs to the connection."""

    def parse(text: str) -> tuple[str, ...]:
        found = [name.lower() for name in filter(None, map(str.strip, text.split(",")))]
        for name in found:
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError
            if name in HOP_HEADERS:
                raise ValueError(f"{name} belongs to the connection, not to the settings")
        return tuple(dict.fromkeys(found))

    return Kind("names of headers with commas between, or empty", parse)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries what must not be shown: Authorization, x-api-key, Cookie ..."""
    return bool(_SECRET_HEADER.search(name))


def name_map() -> Kind:
    """A JSON object of names -> an immutable mapping; empty text -> an empty one."""

    def parse(text: str) -> MappingProxyType[str, str]:
        try:
            found = json.loads(text or "{}")
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
        except RecursionError:
            raise ValueError from None
        if not isinstance(found, dict) or not all(
            isinstance(value, str) and name and value.strip() for name, value in found.items()
        ):
            raise ValueError
        return MappingProxyType({name: value.strip() for name, value in found.items()})

    def show(value: MappingProxyType[str, str]) -> str:
        return json.dumps(dict(value), ensure_ascii=False) if value else ""

    return Kind('a JSON object such as {"gpt-4": "claude-sonnet-5-5"}, or empty', parse, show, lines=True)
>>>>>>> 6693fc6 (An upstream's key is masked however it is written; headers' values in the settings are secrets unless they are public)
