"""Decides by name which headers of a client are sent to an upstream, and which of an upstream are sent back.

Keys, cookies and addresses of clients must not reach another provider, and a browser acts on some headers that an
upstream may send. Anthropic's protocol asks gateways to pass on headers that they do not know, so for it there is a
list of headers that are held back; for the other protocols there is a list of headers that are passed on. An upstream's
section may allow more (request_headers, reply_headers), but never headers that belong to one connection.
"""

from __future__ import annotations

import functools

from gateway.http import forwarded
from translate import dialects, late

# RFC 9110, section 7.6.1, and others that HTTP/1.1 software treats in the same way.
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "http2-settings")
)  # fmt: skip

_NEVER = HOP_BY_HOP | frozenset(
    ("host", "content-length", "content-encoding", "accept-encoding", "expect", "authorization", "x-api-key",
     "x-proxy-hops")
)  # fmt: skip
"""Headers that are never passed on, whatever the settings say: those of the body's framing, and the client's key,
which has its own setting."""

# Words in the names of headers with a key, in the spelling of any provider: api-key, x-goog-api-key,
# ocp-apim-subscription-key,
# x-amz-security-token, x-auth-token, private-token, x-functions-key, cookie, x-csrf-token ...
_KEY = late.pattern(
    r"(?:^|[-_])(?:\w*auth\w*|\w*token|\w*secret\w*|\w*passw\w*|pwd|\w*credential\w*|cookie2?|\w*api-?key|\w*apikey"
    r"|key|keys|signature|sig|jwt|bearer|saml|x5c|assertion)(?:$|[-_])"
)
_NO_KEYS = frozenset(("idempotency-key", "x-idempotency-key", "prompt-cache-key", "x-prompt-cache-key"))

# Names of headers with the address of the client, besides forwarded.NAMES.
_ADDRESS = late.pattern(
    r"(?:^|[-_])(?:ip|ipv4|ipv6|ip-?addr(?:ess)?|clientip|realip|remote-?addr|ipcountry|geo\w*)(?:$|[-_])"
)

# Headers of browsers, headers that ask for a part or another method, and headers that CDNs and servers act on.
_FOREIGN = late.pattern(
    r"sec-|if-|range$|origin$|referer$|priority$|dnt$|upgrade-insecure-requests$|access-control-|early-data$|max-forwards$"
    r"|save-data$|cache-control$|pragma$|x-(?:http-)?method(?:-override)?$|x-(?:rewrite|override|original|envoy|nginx)-"
    r"|x-accel-|x-sendfile|x-amz-|x-goog-(?!api-client$)|x-ms-(?!client-request-id$)|x-host$|x-upstream|x-proxy-|x-backend"
    r"|base-url$"
    r"|surrogate-|cdn-|cf-|destination$|depth$|proxy$|soapaction$|from$|x-ssl-|ssl-|x-client-(?:cert|verify|dn)"
    r"|client-cert|x-remote-|remote-|x-webauth-|x-user(?:$|-)|x-authenticated-"
)  # fmt: skip

# The account that OpenAI bills: it is sent with the client's own key only.
ACCOUNT = frozenset(("openai-organization", "openai-project", "chatgpt-account-id"))

_TO_ANY = late.pattern(r"user-agent$|traceparent$|tracestate$|x-client-request-id$")
"""The headers of a translated request that are passed on: those about the caller or the trace."""

_TO_OPENAI = late.pattern(
    rf"{_TO_ANY.pattern}|accept$|accept-language$|content-type$|openai-|x-stainless-|x-openai-|x-codex-|codex-"
    r"|originator$|version$|session[-_]id$|thread[-_]id$|conversation[-_]id$|x-session-|x-conversation-id$|x-request-id$"
    r"|request-id$|x-correlation-id$|baggage$|(?:x-)?idempotency-key$|x-grok-conv-id$|http-referer$|x-title$|x-app$"
    r"|x-claude-code-|anthropic-|x-initiator$|copilot-|editor-|x-ms-client-request-id$|x-goog-api-client$|x-oai-"
    r"|x-dashscope-(?:sse|session|useragent|cachecontrol)$|x-subagent|x-parent-"
)  # fmt: skip

# x-proxy-dropped: of an upstream that is a proxy like this one; it stands beside what is left out here.
_BACK_TO_ANY = late.pattern(r"retry-after(?:-ms)?$|x-should-retry$|cf-ray$|.*ratelimit|x-proxy-dropped$")
_BACK = late.pattern(
    rf"{_BACK_TO_ANY.pattern}|anthropic-|openai-|x-codex-|x-oai-|x-openai-|x-models-etag$|x-reasoning-included$|x-stainless-"
    r"|apim-request-id$|x-ms-(?:region|client-request-id|deployment-name|rai-invoked|served-model|request-id)$"
    r"|azureml-model-session$|x-amzn-requestid$|x-amzn-bedrock-|x-groq-|x-litellm-|x-generation-id$|x-trace-id$|traceparent$"
    r"|mistral-correlation-id$|x-correlation-id$|date$|deprecation$|sunset$|x-error-json$|idempotent-replayed$|x-kimi-"
    r"|msh-|nvcf-|x-fireworks-|x-together-|x-ds-trace-id$|x-envoy-upstream-service-time$|x-inference-|fireworks-|server-id$"
    r"|x-metrics-|x-dashscope-"
)


def may_hold_a_key(name: str) -> bool:
    """Whether a header's value may be a secret, by its name in lower case."""
    return name not in _NO_KEYS and _KEY.search(name) is not None


@functools.lru_cache(maxsize=2048)
def goes(name: str, passthrough: str, own_key: bool, let_through: tuple[str, ...] = ()) -> bool:
    """Whether a client's header is sent to the upstream. name: in lower case. passthrough: the protocol, if the
    upstream speaks that of the client, else "". own_key: the request has the client's own key. let_through: the names
    that the settings allow."""
    if name in _NEVER:
        return False
    if name in let_through:
        return True
    if not passthrough:
        return _TO_ANY.match(name) is not None
    if name in ACCOUNT:
        return own_key
    if name in forwarded.NAMES or name.startswith(forwarded.PREFIX) or _ADDRESS.search(name):
        return False
    if not name.startswith("anthropic-") and may_hold_a_key(name):
        return False
    if not dialects.of(passthrough).http.any_header:
        return _TO_OPENAI.match(name) is not None
    return _FOREIGN.match(name) is None


@functools.lru_cache(maxsize=2048)
def comes_back(name: str, same: bool, let_through: tuple[str, ...] = ()) -> bool:
    """Whether an upstream's header is sent to the client. same: the reply is not translated."""
    if name in HOP_BY_HOP or name in _OURS:
        return False
    return name in let_through or (_BACK if same else _BACK_TO_ANY).match(name) is not None


# The proxy sets these headers of a reply itself.
_OURS = frozenset(
    ("content-length", "content-type", "content-encoding", "content-security-policy", "x-content-type-options",
     "cache-control", "vary", "set-cookie", "request-id", "x-request-id", "server-timing",
     "x-accel-buffering", "x-proxy-upstream", "x-proxy-attempts", "x-proxy-overhead-ms")
)  # fmt: skip
