"""The keys of an [upstream NAME] and of a [client NAME]; what a row is, schema.py says."""

from __future__ import annotations

from operate.settings import list_types, secret_types, url_types, value_types
from operate.settings.presets import PRESETS
from operate.settings.resilience import RATES
from operate.settings.rows import DAY, MANY, REQUIRED, Key
from translate import dialects

_OWN_TIMEOUT = value_types.seconds(0, DAY, optional=True)

UPSTREAM = {
    "preset": Key(
        value_types.choice(*PRESETS, empty=True),
        "",
        "A known service: its name stands for the keys below that it needs; what is written here goes before.",
    ),
    "protocol": Key(
        value_types.several(dialects.names),
        REQUIRED,
        "What it speaks (Anthropic Messages, OpenAI Chat or Responses). The client's own is taken; else, where tools "
        "are given or the model reasons, Responses before Chat; else the first.",
    ),
    "base_url": Key(
        url_types.base_url(),
        REQUIRED,
        "Where it is, with or without a final /v1; demo: is the one built in.",
    ),
    "add_v1": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Put /v1 between base_url and e.g. /messages; auto: unless it names a version (/v1beta/openai).",
    ),
    "enabled": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "auto: off when api_key or keys is written but empty, unless forward_client_key is on or the environment "
        "gave base_url.",
    ),
    "api_key": Key(
        secret_types.secret(), "", "The key sent to it; a server on this machine needs none: leave the line out."
    ),
    "keys": Key(
        secret_types.secrets(),
        "",
        "Several keys, instead of api_key; they share the load. One that is refused (401, 403), has no credit or is at "
        "its limit (429) rests alone; what builds on a stored response goes with the key that made it.",
    ),
    "key_header": Key(
        value_types.choice("auto", "x-api-key", "authorization", "api-key"),
        "auto",
        "Header of the key; auto: x-api-key for messages, Authorization: Bearer for others. Azure: api-key.",
    ),
    "api_version": Key(
        value_types.word("a version such as 2025-04-01-preview"),
        "",
        "Azure's older addresses: /openai/deployments/MODEL/...?api-version=THIS; empty = /openai/v1/... .",
    ),
    "forward_client_key": Key(
        value_types.switch(),
        "false",
        "Send the key that the client brought instead, when it brings one. Without effect where there is a [client].",
    ),
    "headers": Key(
        list_types.headers(),
        "",
        "Further headers for every request to it, one an indented line. Their values are shown nowhere, but for lines "
        "that begin with the word public.",
    ),
    "request_headers": Key(
        list_types.header_names(),
        "",
        "Headers of clients that go along to it although they would stay behind: other keys, addresses of clients, "
        "and before Chat and Responses those that these APIs do not have.",
    ),
    "reply_headers": Key(
        list_types.header_names(), "", "Headers of its replies that clients get besides limits, ids and the API's own."
    ),
    "query": Key(
        list_types.names(what="names of parameters"),
        "",
        "Parameters of clients' URLs that go along besides the API's own; others are refused.",
    ),
    "verify_tls": Key(
        value_types.switch(), "true", "Check its certificate. Off only for a test: anybody could answer."
    ),
    "ca_file": Key(
        url_types.pem("certificates"),
        "",
        "PEM file of the private CA that its certificate leads to; empty = as in [pool]. A renewed file counts from "
        "the next connection on, and so do the next two.",
    ),
    "client_cert": Key(
        url_types.pem("a certificate"),
        "",
        "PEM file of the client certificate that it asks for (mTLS), with its chain.",
    ),
    "client_key": Key(
        url_types.pem("a key"), "", "PEM file of that certificate's key; empty = it is in client_cert."
    ),
    "client_key_password": Key(
        secret_types.password(), "", "What that key is encrypted with, such as ${KEY_PASSWORD}."
    ),
    "proxy": Key(
        url_types.proxy_url(none=True),
        "",
        "Its own proxy; none: it is reached without; empty = [pool] proxy, unless it is on this machine.",
    ),
    "family": Key(
        value_types.choice("any", "ipv4", "ipv6", "prefer_ipv4", "prefer_ipv6", empty=True),
        "",
        "Its own [pool] family.",
    ),
    "count_tokens": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Ask it for counts of tokens (messages/count_tokens); auto: if it speaks messages. Else an estimate.",
    ),
    "max_tokens": Key(
        list_types.limits(10_000_000),
        "0",
        "Tokens of output, at most: what a client asks for is cut to this, for all models or by name; 0 = as asked.",
    ),
    "max_tokens_field": Key(
        value_types.choice("max_tokens", "max_completion_tokens"),
        "max_tokens",
        "Chat: the field that limits the output.",
    ),
    "reasoning": Key(
        value_types.choice("reasoning_content", "reasoning", "think_tags", "none"),
        "reasoning_content",
        "Chat: where its thinking is: a field of this name, or <think> tags; the default reads both fields.",
    ),
    "reasoning_history": Key(
        value_types.choice("false", "tool_calls", "true"),
        "false",
        "Chat: whether earlier thinking goes back to it; tool_calls: with these only (DeepSeek, Kimi).",
    ),
    "developer_role": Key(value_types.switch(), "false", "Chat: system text is sent with the role developer."),
    "stream_options": Key(
        value_types.switch(), "true", "Chat: stream_options may be sent, which brings usage; off if it is refused."
    ),
    "ask_usage": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Chat, passing through: ask for a stream's usage where the client does not, and take it out of the reply "
        "again; auto: where the model has a price, or tokens_per_minute is bounded.",
    ),
    "reasoning_effort": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "May it be told how hard to think; auto: unless the model's name is one of those that refuse it.",
    ),
    "max_stops": Key(
        value_types.whole(0, 1000), "4", "Chat: stop sequences that it takes, at most; further ones are dropped."
    ),
    "prompt_cache_key": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "May a Messages client's session go to it, hashed, as prompt_cache_key; auto: at OpenAI's and Azure's address.",
    ),
    "cache_marks": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Messages: translated requests whose client marks nothing get cache_control where their beginning stays the "
        "same, four at most; auto: at Anthropic's address, and for models called claude.",
    ),
    "web_search": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Messages and Responses: does it search the web itself; auto: by the model's name (claude, gpt, grok).",
    ),
    "tool_schema": Key(
        value_types.choice("auto", "openai", "gemini", "grammar"),
        "auto",
        "JSON schemas of tools and replies that it takes; what it refuses goes into their descriptions. auto: by its "
        "protocol and the model's name (gemini, claude); grammar: servers that make rules of them, as llama.cpp does.",
    ),
    "output_schema": Key(
        value_types.choice("native", "tool", "chat"),
        "native",
        "How it is told a reply's JSON schema: in its protocol's own field; as a tool that it must call, whose "
        "arguments become the reply, if it ignores that field; or by Chat, if it speaks that too and heeds it there, "
        "but as a tool beside others.",
    ),
    "rebuild": Key(
        value_types.switch(),
        "false",
        "It speaks its protocols loosely: what would pass through untouched is read, checked and written anew, both "
        "ways; custom tools are sent as functions.",
    ),
    "images": Key(value_types.switch(), "true", "Its models see images; off: a note stands in the place of each."),
    "drop": Key(
        list_types.names(("model", "messages", "input", "stream")),
        "",
        "Top-level fields that it refuses: they are left out, and so are the anthropic-beta names that belong to them.",
    ),
    "rename": Key(
        list_types.renames(),
        "",
        "Translated requests: top-level fields that it calls by another name, such as seed=random_seed.",
    ),
    "max_concurrent": Key(
        value_types.whole(0, MANY),
        "0",
        "Requests there at once; 0 = [pool] max_connections_per_upstream, or max_connections.",
    ),
    "adaptive": Key(
        value_types.switch(),
        "false",
        "Learn from its first bytes and 429s how many it bears at once, up to max_concurrent.",
    ),
    **RATES,
    **{
        name: Key(_OWN_TIMEOUT, "", f"Its own [timeouts] {name}; empty = that one.")
        for name in ("first_byte", "idle", "request", "stream")
    },
}

CLIENT = {
    "key": Key(
        secret_types.secret(secret_types.SHORTEST_CLIENT_KEY),
        REQUIRED,
        "What this client must send, as x-api-key or Authorization: Bearer.",
    ),
    "admin": Key(value_types.switch(), "false", "May it look into the proxy: POST /debug/translate."),
    **RATES,
}
