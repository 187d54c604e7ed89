"""A section [upstream NAME] as a frozen struct: where requests go, and what that server is like.

`url()` decides where `/v1` goes. It is added, unless base_url ends in it, or names a version itself (/v1beta/openai,
/api/paas/v4). The key `add_v1` decides otherwise. An upstream without a key is switched off, which is no error: so the
shipped file can name the usual upstreams, and `off_because` says which variable switches each on.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import ClassVar
from urllib.parse import quote, urlsplit

from msgspec.structs import force_setattr

from operate import key_sources
from operate.logs.redaction import looks_like_a_key
from operate.settings.list_types import Header, is_secret_header
from operate.settings.sections import Section, Timeouts
from operate.settings.url_types import DEMO

# The addresses, or their ends, of services that are known to take prompt_cache_key.
_CACHE_KEYS = ("api.openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
_ANTHROPIC = (".anthropic.com",)
HAVE_BATCHES = ("api.anthropic.com", "api.openai.com")
_CLAUDE = re.compile(r"claude|anthropic", re.I)  # cloud providers write anthropic.claude-... and claude-...@...
OF_A_DEPLOYMENT = frozenset(
    {"chat/completions", "completions", "embeddings", "images/generations", "images/edits", "audio/speech",
     "audio/transcriptions", "audio/translations"}
)  # fmt: skip
"""Azure's older addresses name the model of these in the path."""
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]*)?")


class Upstream(Section, frozen=True, kw_only=True):
    """One upstream; the fields have the names of the keys.

    protocol: in order of preference. base_url: without a final slash. max_tokens: pairs (glob of models, tokens), of
    which the first that fits counts; 0 = no limit. rename: pairs (field, its name at the upstream). timeouts: those of
    [timeouts], with this section's own in their place. keys: several keys instead of api_key. max_concurrent,
    requests_per_minute, tokens_per_minute: 0 = no limit of its own. enabled: never "auto"; if it is False, off_because
    says why, and how to switch it on. base: base_url without a final /v1; base + "/v1/..." is an address if /v1 is
    added.
    """

    unsaid: ClassVar[tuple[str, ...]] = ("api_key", "keys", "headers", "client_key_password", "proxy", "_prefix")

    name: str
    preset: str
    protocol: tuple[str, ...]
    base_url: str
    add_v1: str
    paths: tuple[tuple[str, str], ...] = ()
    envelope: str = "none"
    list_models: bool = True
    enabled: bool
    off_because: str
    api_key: str
    keys: tuple[str, ...] = ()
    region: str = ""
    project: str = ""
    resource: str = ""
    workspace: str = ""
    aws_service: str = ""
    key_ttl: float = 300.0
    key_timeout: float = 30.0
    key_header: str
    api_version: str
    forward_client_key: bool
    headers: tuple[Header, ...]
    request_headers: tuple[str, ...] = ()
    reply_headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    verify_tls: bool
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    client_key_password: str = ""
    proxy: str = ""
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
    thinking_switch: str
    max_stops: int
    call_ids: bool
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
    files: str = "auto"
    slow_after: float = 20.0
    socket: str = ""
    batches: str = "auto"
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    timeouts: Timeouts
    base: str = ""
    _prefix: str = ""

    def __post_init__(self) -> None:
        base, prefix = split_version(self.base_url, self.add_v1)
        force_setattr(self, "base", base)
        force_setattr(self, "_prefix", prefix)

    @property
    def has_batches(self) -> bool:
        """Whether it runs batches itself, by what is known of its address or said of it."""
        return self.batches == "true" or (self.batches == "auto" and urlsplit(self.base_url).hostname in HAVE_BATCHES)

    @property
    def is_demo(self) -> bool:
        """Whether it is the built-in upstream. Its address is known once it listens; proxy.py then puts it into a
        copy."""
        return self.base_url == DEMO

    @property
    def credentials(self) -> tuple[str, ...]:
        """Its keys, or where they come from (operate/key_sources.py), at least one; "" = no key is sent."""
        return self.keys or (self.api_key,)

    @property
    def takes_cache_key(self) -> bool:
        """Whether a client's session may be sent to it as prompt_cache_key."""
        if self.prompt_cache_key != "auto":
            return self.prompt_cache_key == "true"
        return (urlsplit(self.base_url).hostname or "").endswith(_CACHE_KEYS)

    def marks_cache(self, model: str) -> bool:
        """Whether translated requests for a model get cache_control marks."""
        if self.cache_marks != "auto":
            return self.cache_marks == "true"
        return _CLAUDE.search(model) is not None or (urlsplit(self.base_url).hostname or "").endswith(_ANTHROPIC)

    def secrets(self) -> set[str]:
        """The texts that must not be in anything that the proxy writes: keys, passwords, and headers' values that look
        like a key. Other headers' values are not among them, because common words would then be masked everywhere; they
        are still never shown."""
        written = {key for key in self.credentials if not key_sources.is_source(key)}
        found = {*written, self.client_key_password, password_of(self.proxy)}
        for header in self.headers:
            bare = header.value.removeprefix("Bearer ").removeprefix("Basic ").strip()
            if is_secret_header(header.name) or (not header.public and looks_like_a_key(bare)):
                found |= {header.value, bare}
        return found - {""}

    def url(self, endpoint: str, model: str = "", protocol: str = "") -> str:
        """The URL of a path of its API. endpoint: "messages", "messages/count_tokens", "chat/completions", "responses",
        "models" or "models/ID"; "{model}" in it stands for the model's name. model: its name at the upstream, which
        Azure's older addresses contain, too."""
        if model and "{model}" in endpoint:
            endpoint = endpoint.replace("{model}", quote(model, safe=""))
        if not self.api_version:
            own = dict(self.paths).get(protocol) if self.paths else None
            return f"{self._prefix}/{endpoint}" if own is None else f"{self.base}/{own}/{endpoint}"
        stem = self.base_url if self.base_url.endswith("/openai") else f"{self.base_url}/openai"
        if endpoint in OF_A_DEPLOYMENT and model:
            endpoint = f"deployments/{quote(model, safe='')}/{endpoint}"
        return f"{stem}/{endpoint}?api-version={quote(self.api_version, safe='')}"

    def most_tokens(self, model: str) -> int:
        """The most output tokens that a request may ask a model for; 0 = no limit."""
        return next((most for pattern, most in self.max_tokens if fnmatchcase(model, pattern)), 0)


def password_of(proxy: str) -> str:
    """The password in a proxy's URL, or ""."""
    return (urlsplit(proxy).password or "") if "://" in proxy else ""


def split_version(base_url: str, add_v1: str) -> tuple[str, str]:
    """base_url -> (base_url without a final /v1, the URL that paths are added to). add_v1: auto | true | false."""
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


def why_off(choice: str, key: str, names: list[str], *, has_key: bool, forwards: bool, base_from_env: bool) -> str:
    """Why an upstream is off, and how to switch it on; "" if it is on. choice: what `enabled` says. key: "api_key" or
    "keys", whichever is written, or "". names: the environment variables that this key's line mentions."""
    if choice == "true":
        return ""
    if choice == "false":
        return "switched off: enabled = false"
    if not key or has_key or forwards or base_from_env:
        return ""
    if names:
        return f"no key: set {' or '.join(names)} in the environment"
    return f"no key: {key} is empty; for a server that needs no key, leave the line out"
