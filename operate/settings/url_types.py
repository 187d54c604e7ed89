"""The kinds of values that say where something is: hosts, URLs, origins of web pages, certificate files."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import SplitResult, urlsplit

from operate.settings.errors import unread
from operate.settings.value_types import MASK, PRINTABLE, Kind, without_comment
from translate import dialects

LARGEST_PEM = 16 << 20
"""How many bytes of a certificate file are read."""

DEMO = "demo:"
"""The base_url of the built-in upstream."""

_OTHER_ENDPOINTS = frozenset({"models", "completions"})  # paths that users paste, too, and that no dialect has
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\*|(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)")


MAX_SOCKET = len("unix:") + 107  # the system's bound


def hosts() -> Kind:
    """A str of the addresses or names to listen on, joined by ", ", without the brackets of IPv6 addresses."""

    def parse(text: str) -> str:
        return ", ".join(dict.fromkeys(one(part.strip()) for part in text.split(",")))

    def one(text: str) -> str:
        if text.startswith("unix:"):
            if not text.startswith("unix:/") or text.endswith("/") or len(text) > MAX_SOCKET:
                raise ValueError(f"a Unix socket is unix:/PATH, an absolute path of up to {MAX_SOCKET - 5} bytes")
            return text
        bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            if text == "*":
                raise ValueError(
                    "'*' is not an address; to listen on all addresses, write :: (IPv6 and IPv4) or 0.0.0.0 (IPv4)"
                ) from None
            if not _HOST.fullmatch(text) or text.replace(".", "").isdigit():
                raise ValueError from None
            return text
        return bare

    return Kind(
        "an address or host name without a port, such as 127.0.0.1, or unix:/PATH, or several, separated by commas",
        parse,
    )


def service() -> Kind:
    """A str: an http or https URL, or ""."""

    def parse(text: str) -> str:
        if not text:
            return ""
        parts = _split(text, ("http", "https"))
        if parts.username is not None or parts.password is not None or "#" in text:
            raise ValueError("may have no user name, password or '#'; write keys in headers")
        return text

    return Kind("a URL such as http://127.0.0.1:9000/check, or empty", parse)


def collector() -> Kind:
    """A str: an http or https URL without a final slash, or ""."""

    def parse(text: str) -> str:
        if not text:
            return ""
        parts = _split(text, ("http", "https"))
        if parts.username is not None or parts.password is not None or "?" in text or "#" in text:
            raise ValueError("may have no user name, password, '?' or '#'; write keys in headers")
        return text.rstrip("/")

    return Kind("a URL such as http://127.0.0.1:4318, or empty", parse)


def host_names() -> Kind:
    """tuple[str, ...]: names or addresses of hosts in lower case, without ports; "*.NAME" stands for all below NAME."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(filter(None, map(str.strip, text.lower().split(","))))
        return tuple(dict.fromkeys(map(one, found)))

    def one(text: str) -> str:
        try:
            return str(ipaddress.ip_address(text.strip("[]")))
        except ValueError:
            if not _HOST.fullmatch(text.removeprefix("*.")):
                raise ValueError from None
            return text

    return Kind("host names without ports, such as llm.example.org or *.example.org, with commas, or empty", parse)


def networks() -> Kind:
    """tuple[str, ...]: addresses, and networks such as 10.0.0.0/8, as ipaddress writes them."""

    def parse(text: str) -> tuple[str, ...]:
        found = filter(None, map(str.strip, text.split(",")))
        return tuple(dict.fromkeys(str(ipaddress.ip_network(each)) for each in found))

    def checked(text: str) -> tuple[str, ...]:
        try:
            return parse(text)
        except ValueError as why:
            raise ValueError(f"is wrong: {why}") from None

    return Kind("addresses and networks such as 10.0.0.0/8, with commas between, or empty", checked)


def base_url() -> Kind:
    """The address of an upstream: "https://host[:port][/path]" without a final slash, or "demo:"."""

    def parse(text: str) -> str:
        if text == DEMO:
            return DEMO
        if not text:
            raise ValueError
        parts = _split(text, ("http", "https"))
        if parts.username is not None or parts.password is not None:
            raise ValueError("has a user name or password before '@'; write the key in api_key or headers instead")
        if "?" in text or "#" in text:
            raise ValueError("has a '?...' or '#...'; write only the part that all requests share")
        path = parts.path.rstrip("/")
        paths = {each.upstream for dialect in dialects.every() for each in dialect.endpoints if not each.relayed}
        for endpoint in sorted(paths | _OTHER_ENDPOINTS, key=len, reverse=True):
            if path.endswith("/" + endpoint):
                raise ValueError(f"ends in /{endpoint}; leave that out: the proxy adds it to every request")
        return f"{parts.scheme}://{parts.netloc}{path}"

    return Kind(f"a URL such as https://api.example.com or http://127.0.0.1:11434/v1, or {DEMO}", parse, private=True)


def proxy_url(none: bool = False) -> Kind:
    """The URL of a proxy on the way to upstreams, or "". It may hold user:password, which is never shown. With `none`,
    the word "none" is allowed too."""

    def parse(text: str) -> str:
        if none and text.lower() == "none":
            return "none"
        if text:
            _split(text, ("http", "https", "socks4", "socks4a", "socks5", "socks5h"))
        return text

    return Kind(
        "a URL such as http://10.0.0.1:3128 or socks5h://127.0.0.1:1080" + ", none" * none + ", or empty",
        parse,
        _without_password,
        private=True,
    )


_STORES = ("redis", "rediss")
STORE_SCHEMES = (*_STORES, "unix", *(f"{each}+{kind}" for each in _STORES for kind in ("sentinel", "cluster")))


def shared_url() -> Kind:
    """The URL of a Redis or Valkey server, or "". It may hold user:password, which is never shown."""

    def parse(text: str) -> str:
        if not text:
            return ""
        parts = urlsplit(text)
        if parts.scheme == "unix":
            if not parts.path.startswith("/"):
                raise ValueError("has no path after unix://, such as unix:///run/redis/redis.sock")
            without_comment(parts.path + f"#{parts.fragment}" * bool(parts.fragment))
            return text
        hosts = parts.netloc.rpartition("@")[2].split(",")
        for host in hosts:
            _split(f"{parts.scheme}://{host}", STORE_SCHEMES)
        kind = parts.scheme.partition("+")[2]
        if not kind and len(hosts) > 1:
            raise ValueError("has several hosts, which only redis+sentinel:// and redis+cluster:// may have")
        if kind == "sentinel" and not parts.path.strip("/"):
            raise ValueError("has no name of a service, as in redis+sentinel://HOST:26379/mymaster")
        return text

    return Kind(
        "a URL such as redis://10.0.0.5:6379/0, rediss://user:password@HOST or unix:///run/redis.sock, or empty",
        parse,
        _without_password,
        private=True,
    )


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{MASK}@{rest.rpartition('@')[2]}" if "@" in rest else url


def pem(what: str) -> Kind:
    """The absolute path of a readable PEM file, or "". what: what the file must hold, for error messages."""

    def parse(text: str) -> str:
        if not text:
            return ""
        try:
            with open(text, "rb") as file:
                content = file.read(LARGEST_PEM)
        except OSError as error:
            raise ValueError(f"cannot read {text}: {unread(error)}") from error
        if b"-----BEGIN " not in content:
            raise ValueError(f"{text} is not a PEM file: it has no line -----BEGIN ...")
        return os.path.abspath(text)

    return Kind(f"a PEM file with {what}, or empty", parse, is_path=True)


def _split(text: str, schemes: tuple[str, ...]) -> SplitResult:
    if not PRINTABLE.fullmatch(text):
        raise ValueError("has a blank, or a character that no URL may have")
    try:
        parts = urlsplit(text)
        port, name = parts.port, parts.hostname
    except ValueError:
        raise ValueError("has a host or port that is not valid") from None
    if parts.scheme not in schemes:
        raise ValueError(f"does not begin with {' or '.join(scheme + '://' for scheme in schemes)}")
    if not name or port == 0:
        raise ValueError("has no host, or has port 0")
    return parts


def origins() -> Kind:
    """A tuple of origins of web pages in lower case; each may also be "scheme://*" or "*"."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(each.removesuffix("/") for each in filter(None, map(str.strip, text.lower().split(","))))
        if not all(each == "*" or _ORIGIN.fullmatch(each) for each in found):
            raise ValueError
        return tuple(dict.fromkeys(found))

    return Kind(
        "origins, separated by commas, such as https://chat.example.org, app://obsidian.md or chrome-extension://*; "
        "* for any; or empty",
        parse,
        brief="origins, *, or empty",
    )
