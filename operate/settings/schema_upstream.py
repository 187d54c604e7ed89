"""The rows of [upstream NAME], [client NAME] and [hook NAME]."""

from __future__ import annotations

from operate.settings import list_types, secret_types, url_types, value_types
from operate.settings.presets import PRESETS
from operate.settings.rows import DAY, MANY, REQUIRED, Key
from operate.settings.schema_retry import RATES
from translate import dialects

_OWN_TIMEOUT = value_types.seconds(0, DAY, optional=True)

UPSTREAM = {
    "preset": Key(
        value_types.choice(*PRESETS, empty=True),
        "",
        "The name of a known service. It sets all keys below that the service needs; a key that is written here "
        "takes precedence.",
    ),
    "region": Key(
        value_types.word("the name of a region, such as us-east-1"),
        "",
        "The cloud's region. It is part of the address of the presets bedrock, claude-aws and vertex, and of "
        "signatures for AWS.",
    ),
    "project": Key(value_types.word("the name of a project"), "", "The project at Google, for the preset vertex."),
    "resource": Key(
        value_types.word("the name of a resource"), "", "The resource at Microsoft, for the preset foundry."
    ),
    "workspace": Key(
        value_types.word("an id such as wrkspc_01..."),
        "",
        "The workspace of Claude Platform on AWS, sent as anthropic-workspace-id.",
    ),
    "aws_service": Key(
        value_types.word("a name such as bedrock"),
        "",
        "The name of AWS's service in signatures. The presets for AWS set it.",
    ),
    "protocol": Key(
        value_types.several(dialects.names),
        REQUIRED,
        "The protocols that it speaks: Anthropic Messages, OpenAI Chat Completions, OpenAI Responses, "
        "Google's Gemini API. A request goes out in the client's own protocol if that is here; else in Responses "
        "rather than Chat if it has tools or the model reasons; else in the first.",
    ),
    "base_url": Key(
        url_types.base_url(),
        REQUIRED,
        "The address of its API, with or without /v1 at the end. demo: means the built-in upstream.",
    ),
    "paths": Key(
        list_types.paths(),
        "",
        "Where the API of a protocol is below base_url, if it is not /v1, such as messages=anthropic/v1, "
        "chat=openai/v1.",
    ),
    "envelope": Key(
        value_types.choice("none", "bedrock", "vertex"),
        "none",
        "Messages: the form of a cloud in which it takes them. bedrock: InvokeModel, with the model in the path and a "
        "binary stream; vertex: rawPredict. The presets set it.",
    ),
    "list_models": Key(
        value_types.switch(), "true", "Whether it is asked for its list of models, for /v1/models and the picker."
    ),
    "add_v1": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Whether /v1 goes between base_url and the path, such as /messages. auto: yes, unless base_url names a "
        "version itself (/v1beta/openai).",
    ),
    "enabled": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Whether it is used. auto: not while api_key or keys is written but empty, unless forward_client_key is "
        "on or base_url comes from the environment.",
    ),
    "api_key": Key(
        secret_types.secret(),
        "",
        "The key that is sent to it. For a server that needs none, leave this line out. cmd:COMMAND: what the command "
        "prints, which no shell runs; google:FILE: the access token of a service account; aws: requests are signed "
        "with AWS keys from the usual places (aws:env, aws:profile=NAME, aws:container or aws:instance: only from "
        "there).",
    ),
    "key_ttl": Key(
        value_types.seconds(5, DAY),
        "300",
        "How long a key from another source (cmd: and the like) is used, if the source does not say when it expires. "
        "The next one is made before that, and when the upstream refuses this one.",
    ),
    "key_timeout": Key(value_types.seconds(1, 600), "30", "How long the source of such a key may take."),
    "keys": Key(
        secret_types.secrets(),
        "",
        "Several keys instead of api_key; they share the load. A key that is refused (401, 403), out of credit or "
        "over its limit (429) rests while the others go on. A request that builds on a stored response uses the "
        "key that made it.",
    ),
    "key_header": Key(
        value_types.choice("auto", "x-api-key", "authorization", "api-key"),
        "auto",
        "The header that carries the key. auto: x-api-key for messages, Authorization: Bearer for the others. "
        "Azure takes api-key.",
    ),
    "api_version": Key(
        value_types.word("a version such as 2025-04-01-preview"),
        "",
        "The version for Azure's older addresses, /openai/deployments/MODEL/...?api-version=VERSION. Empty = the "
        "newer /openai/v1/... .",
    ),
    "forward_client_key": Key(
        value_types.switch(),
        "false",
        "Send the client's own key to the upstream, if it brings one, instead of api_key. It has no effect when "
        "there is a [client] section.",
    ),
    "headers": Key(
        list_types.headers(),
        "",
        "Further headers for every request to it, one on each indented line. Their values are secret and shown "
        "nowhere, except on lines that begin with the word public.",
    ),
    "request_headers": Key(
        list_types.header_names(),
        "",
        "Headers of clients that are passed on to it, although they are held back by default: further keys, "
        "addresses of clients and, for Chat and Responses, headers that these APIs do not have.",
    ),
    "reply_headers": Key(
        list_types.header_names(),
        "",
        "Headers of its replies that clients get, besides limits, ids and those of the API itself.",
    ),
    "query": Key(
        list_types.names(what="names of parameters"),
        "",
        "Parameters of clients' URLs that are passed on to it, besides those of the API. Other parameters are refused.",
    ),
    "verify_tls": Key(
        value_types.switch(),
        "true",
        "Whether its certificate is checked. Switch this off only in tests: without it, anybody can pretend to be "
        "the upstream.",
    ),
    "ca_file": Key(
        url_types.pem("certificates"),
        "",
        "A PEM file with the private CA that its certificate leads to; empty = [pool] ca_file. New connections "
        "use a renewed file, also for client_cert and client_key.",
    ),
    "client_cert": Key(
        url_types.pem("a certificate"),
        "",
        "A PEM file with the client certificate that it asks for (mTLS), and the chain.",
    ),
    "client_key": Key(
        url_types.pem("a key"), "", "A PEM file with the key of client_cert; empty = the key is in client_cert."
    ),
    "client_key_password": Key(secret_types.password(), "", "The password of client_key, such as ${KEY_PASSWORD}."),
    "proxy": Key(
        url_types.proxy_url(none=True),
        "",
        "The proxy that is used to reach it. none: it is reached directly; empty = [pool] proxy, but directly if "
        "it is on this machine.",
    ),
    "socket": Key(
        value_types.path(),
        "",
        "The path of the Unix socket behind which it listens; base_url still says its scheme, host and path, such as "
        "http://localhost/v1.",
    ),
    "family": Key(
        value_types.choice("any", "ipv4", "ipv6", "prefer_ipv4", "prefer_ipv6", empty=True),
        "",
        "Which of its IP addresses are used; empty = [pool] family.",
    ),
    "count_tokens": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Whether it is asked to count tokens (messages/count_tokens); if not, the proxy estimates. auto: it is "
        "asked if it speaks messages.",
    ),
    "max_tokens": Key(
        list_types.limits(10_000_000),
        "0",
        "The most output tokens that a request may ask it for; a larger number is cut to this. One number for all "
        "models, or one for each pattern of names; 0 = no limit.",
    ),
    "max_tokens_field": Key(
        value_types.choice("max_tokens", "max_completion_tokens"),
        "max_tokens",
        "Chat: the name of the field that limits the output.",
    ),
    "reasoning": Key(
        value_types.choice("reasoning_content", "reasoning", "think_tags", "none"),
        "reasoning_content",
        "Chat: where its replies hold the model's thinking: in a field of this name, or between tags such as "
        "<think>. The default reads both fields, reasoning_content and reasoning.",
    ),
    "reasoning_history": Key(
        value_types.choice("false", "tool_calls", "true", "always"),
        "false",
        "Chat: whether earlier thinking is sent back to it. tool_calls: only together with tool calls, and a blank "
        "where there was none (DeepSeek, Kimi); always: the same in each message of the model. If the upstream "
        "answers 400 because it is missing, it is always sent, for a day.",
    ),
    "developer_role": Key(
        value_types.switch(), "false", "Chat: system text is sent with the role developer instead of system."
    ),
    "stream_options": Key(
        value_types.switch(),
        "true",
        "Chat: whether stream_options may be sent, which brings usage. Switch it off for a server that refuses it.",
    ),
    "ask_usage": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Chat, when client and upstream both speak it: ask for a stream's usage when the client does not, and "
        "take it out of the reply again. auto: only if the model has a price, or tokens_per_minute is set.",
    ),
    "reasoning_effort": Key(
        list_types.efforts(),
        "auto",
        "Whether it may be told how hard to think, or the words that it takes. auto: yes, unless the model's name is "
        "one of those known to refuse it; OpenAI's and Anthropic's get words that they take. known: only models whose "
        "vendor is known to list words.",
    ),
    "thinking_switch": Key(
        value_types.choice(
            "none", "thinking", "enable_thinking", "chat_template_kwargs", "reasoning", "reasoning_effort"
        ),
        "none",
        "Chat: its field for whether to think at all. reasoning_effort: no other effort than none stands beside tools, "
        "as OpenAI's models from GPT-5.4 on have it in Chat.",
    ),
    "max_stops": Key(
        value_types.whole(0, 1000), "4", "Chat: how many stop sequences it takes. Further ones are dropped."
    ),
    "call_ids": Key(
        value_types.switch(),
        "true",
        "Gemini: whether calls of functions and their results may name each other by an id. If not, their order and "
        "names tell which belong together. Vertex AI answers 400 to ids, and to what Google's search beside functions "
        "is asked with elsewhere (includeServerSideToolInvocations), which is not sent then either.",
    ),
    "prompt_cache_key": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Whether the session of a Messages client is sent to it, hashed, as prompt_cache_key. auto: only at the "
        "addresses of OpenAI and Azure.",
    ),
    "cache_marks": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Messages: whether translated requests get up to four cache_control marks where their beginning stays the "
        "same, if the client sets none. auto: at Anthropic's address, and for models called claude.",
    ),
    "web_search": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Messages and Responses: whether it can search the web itself. auto: by the model's name (claude, gpt, grok).",
    ),
    "tool_schema": Key(
        value_types.choice("auto", "openai", "gemini", "grammar"),
        "auto",
        "Which JSON schemas it takes, for tools and for replies; what it does not take goes into the description. "
        "auto: by its protocol and the model's name (gemini, claude); grammar: for servers that turn schemas into "
        "grammars, such as llama.cpp.",
    ),
    "output_schema": Key(
        value_types.choice("native", "tool", "chat"),
        "native",
        "How it learns the JSON schema of a reply. native: by the field of its protocol; tool: as a tool that it "
        "must call, for servers that ignore that field; chat: by Chat, if it speaks that too and follows it "
        "there, or as a tool if the request has other tools.",
    ),
    "rebuild": Key(
        value_types.switch(),
        "false",
        "For servers that follow their protocols loosely: read, check and write anew also what would pass through "
        "unchanged, in both directions, and send custom tools as functions.",
    ),
    "images": Key(
        value_types.switch(),
        "true",
        "Whether its models see images. When it is off, a note takes the place of each image.",
    ),
    "drop": Key(
        list_types.names(("model", "messages", "input", "stream")),
        "",
        "Top-level fields that it refuses. They are left out, and so are the anthropic-beta names that belong to them.",
    ),
    "rename": Key(
        list_types.renames(),
        "",
        "Translated requests: top-level fields that have another name there, such as seed=random_seed.",
    ),
    "max_concurrent": Key(
        value_types.whole(0, MANY),
        "0",
        "The most requests at it at once; 0 = [pool] max_connections_per_upstream, or max_connections.",
    ),
    "files": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Whether /v1/files is passed on to it. auto: yes, if it is the only upstream that is on and speaks the "
        "client's API. Where several have files, a request names one in the header X-Proxy-Upstream.",
    ),
    "batches": Key(
        value_types.choice("auto", "true", "false"),
        "auto",
        "Whether it runs batches itself (/v1/messages/batches, /v1/batches): then batches for its models alone are "
        "passed on to it, else the proxy runs them ([batches]). auto: Anthropic's and OpenAI's own servers do.",
    ),
    "adaptive": Key(
        value_types.switch(),
        "false",
        "Find out how many requests at once it can take, from how fast it answers and from its 429s. "
        "max_concurrent is the upper limit.",
    ),
    "slow_after": Key(
        value_types.seconds(0, 3600),
        "20",
        "The dashboard says that it is slow while most of its streams wait longer for their first token; 0 = never.",
    ),
    **RATES,
    **{
        name: Key(_OWN_TIMEOUT, "", f"[timeouts] {name} for this upstream; empty = the general value.")
        for name in ("first_byte", "idle", "request", "stream")
    },
}

HOOK = {
    "url": Key(
        url_types.service(),
        "",
        "The service that is asked, by POST with JSON: event (request or reply), body, model, client and more. It "
        'answers {"action": "allow"}, {"action": "refuse", "message": "...", "status": 400} or '
        '{"action": "change", "body": {...}}.',
    ),
    "python": Key(
        value_types.path(),
        "",
        "Instead of url, a Python file with functions request(event) and reply(event), which return such an answer, or "
        "None. It runs in the proxy's process, with all its rights.",
    ),
    "on": Key(value_types.several(lambda: ("request", "reply")), "request, reply", "What it is asked about."),
    "models": Key(
        list_types.names(what="patterns of model names"),
        "",
        "The models that it is asked about, by the name that clients say; empty = all.",
    ),
    "timeout": Key(value_types.seconds(0.05, 600), "5", "How long it may take."),
    "fail": Key(
        value_types.choice("closed", "open"),
        "closed",
        "What happens when it gives no answer. closed: the client gets a 503; open: all goes on, as if it had allowed "
        "it.",
    ),
    "streams": Key(
        value_types.choice("hold", "after"),
        "hold",
        "Replies that are streams. hold: the client gets nothing of them before the hook has seen the whole reply; "
        "after: the hook sees it when the client has it, and can only log its judgement.",
    ),
    "headers": Key(
        list_types.headers(), "", "Headers for url, such as a key, one on each indented line. They are secret."
    ),
}

CLIENT = {
    "key": Key(
        secret_types.client_keys(),
        REQUIRED,
        "The key that this client must send, as x-api-key, api-key or Authorization: Bearer. Instead of the key, this "
        "file may hold its hash, sha256:HEX; './run.sh key NAME' prints both. With several keys the client may send "
        "any of them, so that it can change from one to the next.",
    ),
    "admin": Key(value_types.switch(), "false", "Whether this client may read the dashboard and the /debug pages."),
    "models": Key(
        list_types.names(what="patterns of model names"),
        "",
        "The models that it may use: names, or patterns such as claude-haiku-* or UPSTREAM/*; empty = all. This is "
        "also so for further models that a request names: for its fallback, and in its tools.",
    ),
    "upstreams": Key(list_types.names(what="names of upstreams"), "", "The upstreams that it may use; empty = all."),
    "expires": Key(value_types.day(), "", "The last day (UTC) on which its keys are valid; empty = always."),
    **RATES,
    "usd_per_day": Key(
        value_types.number(0, 1_000_000),
        "0",
        "The most that its requests may cost in a day (UTC), in USD; 0 = no limit. Further requests are refused with "
        "429 until the next day. A request whose price is unknown costs nothing: see [prices]. What cannot be "
        "counted, such as background: true, is refused. While requests in flight may use up the rest, further ones "
        "are refused with 429 for some seconds. The sums are kept in the file of [usage], so that they survive "
        "restarts and all workers share them.",
    ),
    "usd_per_month": Key(value_types.number(0, 1_000_000), "0", "The same in a calendar month; 0 = no limit."),
    "tokens_per_day": Key(
        value_types.whole(0, 10**12), "0", "The most tokens in a day, input and output together; 0 = no limit."
    ),
    "tokens_per_month": Key(value_types.whole(0, 10**12), "0", "The same in a calendar month; 0 = no limit."),
}
