"""One [upstream NAME] section, read: where requests go and what that server is like.

`url()` answers the one question that base_urls leave open, where `/v1` goes: it is added, unless base_url
ends in it already or names a version of its own (/v1beta/openai, /api/paas/v4), after which endpoints
follow directly. `add_v1` overrules. An upstream without a key is switched off rather than an error: the
shipped file can then name the usual ones, and `off_because` tells which variable brings each to life.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import quote, urlsplit

from operate.logs.redaction import looks_like_a_key
from operate.settings.list_types import Header, is_secret_header
from operate.settings.sections import Timeouts
from operate.settings.url_types import DEMO

# Whose services are known to take prompt_cache_key (addresses, and what they end in).
_CACHE_KEYS = ("api.openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
_ANTHROPIC = (".anthropic.com",)
_CLAUDE = re.compile(r"claude|anthropic", re.I)  # also as its clouds call it: anthropic.claude-..., claude-...@...
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An upstream as the settings describe it; key names are those of the file. protocol: in order of
    preference. base_url: no final slash. max_tokens: (glob of models, tokens), first that
    fits; 0 = as asked. rename: (field, as the upstream calls it). timeouts: [timeouts] with this section's
    own laid over. keys: several instead of api_key. max_concurrent, requests_per_minute, tokens_per_minute: 0 = no
    bound of its own. enabled is decided: where it is False, off_because says why and what would change it.
    Derived: base, such that base + "/v1/..." is right where /v1 is added (base_url without a final /v1)."""

    name: str
    preset: str
    protocol: tuple[str, ...]
    base_url: str
    add_v1: str
    enabled: bool
    off_because: str
    api_key: str = field(repr=False)
    keys: tuple[str, ...] = field(default=(), repr=False)
    key_header: str
    api_version: str
    forward_client_key: bool
    headers: tuple[Header, ...] = field(repr=False)
    request_headers: tuple[str, ...] = ()
    reply_headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    verify_tls: bool
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    client_key_password: str = field(default="", repr=False)
    proxy: str = field(default="", repr=False)
    family: str = ""
    count_tokens: bool
    max_tokens: tuple[tuple[str, int], ...]
    max_tokens_field: str
    reasoning: str
    reasoning_history: str
    developer_role: bool
    stream_options: bool
    ask_usage: str
    reasoning_effort: str
    max_stops: int
    prompt_cache_key: str
    cache_marks: str
    web_search: str
    tool_schema: str
    output_schema: str
    rebuild: bool
    images: bool
    drop: tuple[str, ...]
    rename: tuple[tuple[str, str], ...]
    max_concurrent: int = 0
    adaptive: bool = False
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    timeouts: Timeouts
    base: str = field(init=False)
    _prefix: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        base, prefix = split_version(self.base_url, self.add_v1)
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "_prefix", prefix)

    @property
    def is_demo(self) -> bool:
        """Whether it is the one built in; `dataclasses.replace(upstream, base_url=...)` tells where that
        listens."""
        return self.base_url == DEMO

    @property
    def credentials(self) -> tuple[str, ...]:
        """At least one; "" = none is sent."""
        return self.keys or (self.api_key,)

    @property
    def takes_cache_key(self) -> bool:
        """Whether a prompt_cache_key may be made for it."""
        if self.prompt_cache_key != "auto":
            return self.prompt_cache_key == "true"
        return (urlsplit(self.base_url).hostname or "").endswith(_CACHE_KEYS)

    def marks_cache(self, model: str) -> bool:
        """Whether prompts for a model are marked for its prompt cache."""
        if self.cache_marks != "auto":
            return self.cache_marks == "true"
        return _CLAUDE.search(model) is not None or (urlsplit(self.base_url).hostname or "").endswith(_ANTHROPIC)

    def secrets(self) -> set[str]:
        """What nobody else may see of it. A header's value that is not like a key is not among them, or common words
        would be blanked everywhere; it is shown nowhere all the same."""
        found = {*self.credentials, self.client_key_password, password_of(self.proxy)}
        for header in self.headers:
            bare = header.value.removeprefix("Bearer ").removeprefix("Basic ").strip()
            if is_secret_header(header.name) or (not header.public and looks_like_a_key(bare)):
                found |= {header.value, bare}
        return found - {""}

    def url(self, endpoint: str, model: str = "") -> str:
        """endpoint: "messages", "messages/count_tokens", "chat/completions", "responses", "models",
        "models/ID". model: the upstream's name for it; Azure's older addresses name the deployment."""
        if not self.api_version:
            return f"{self._prefix}/{endpoint}"
        stem = self.base_url if self.base_url.endswith("/openai") else f"{self.base_url}/openai"
        if endpoint == "chat/completions":
            endpoint = f"deployments/{quote(model, safe='')}/{endpoint}"
        return f"{stem}/{endpoint}?api-version={quote(self.api_version, safe='')}"

    def most_tokens(self, model: str) -> int:
        """The clamp of the output limit for a model; 0 = none."""
        return next((most for pattern, most in self.max_tokens if fnmatchcase(model, pattern)), 0)


def password_of(proxy: str) -> str:
    return (urlsplit(proxy).password or "") if "://" in proxy else ""


def split_version(base_url: str, add_v1: str) -> tuple[str, str]:
    """base_url -> (it without a final /v1, what endpoints are appended to). add_v1: auto | true | false."""
    path = base_url.partition("://")[2].split("/")[1:]  # without the host, which may be called v1 too
    if add_v1 == "false":
        return base_url, base_url
    if path and path[-1] == "v1":
        stem = base_url.removesuffix("/v1")
    elif add_v1 == "auto" and any(map(_VERSION.fullmatch, path)):
        return base_url, base_url
    else:
        stem = base_url
    return stem, f"{stem}/v1"


def why_off(choice: str, key: str, has_key: bool, forwards: bool, base_from_env: bool, names: list[str]) -> str:
    """Empty for an upstream that is on. key: "api_key" or "keys", whichever is written; names: the variables that its
    line mentions."""
    if choice == "true":
        return ""
    if choice == "false":
        return "switched off: enabled = false"
    if not key or has_key or forwards or base_from_env:
        return ""
    if names:
        return f"no key: set {' or '.join(names)} in the environment"
    return f"no key: {key} is empty (leave the line out for a server that needs none)"
