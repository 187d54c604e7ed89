"""What becomes of everything that a request can say, for each of the six crossings.

Names are those of the official SDKs' parameter types: a top-level field as it is, role:, block: (a content block),
call:, item: (of Responses' input) and tool: before the others. A cell says one of four things:

    = WHERE  mapped: said there in the upstream's words, with what is lost of it on the way
    ~        carried: under the same name, with the same value
    - WHY    dropped, reported in x-proxy-dropped; why the request is still worth sending
    ! WHY    refused with a 400 that names it: without it the request would mean something else

An empty second cell says what the first says. Data only: the code that does it is in the three packages, and a test
holds each row against it and against the SDKs, so that an SDK's new field shows up as a row that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from translate.target import Protocol

Fate = Literal["mapped", "carried", "dropped", "refused"]

FATES: dict[str, Fate] = {"=": "mapped", "~": "carried", "-": "dropped", "!": "refused"}

MESSAGES = """
name | chat | responses
model | = model, the upstream's name for it; the reply has the client's |
max_tokens | = max_tokens, or max_completion_tokens, by [upstream] max_tokens_field | = max_output_tokens, at least 16
messages | = messages | = input
system | = messages, one system (or developer) message at the head; billing blocks left out | = instructions
tools | = tools |
tool_choice | = tool_choice; disable_parallel_tool_use is parallel_tool_calls, inverted |
metadata | = user, of user_id, hashed if over 64 characters, and prompt_cache_key where the upstream takes one; its \
other keys are dropped |
stop_sequences | = stop, the first four | - the protocol has none: the reply goes on past them
stream | = stream, and stream_options.include_usage | ~
temperature top_p | ~ |
top_k | - OpenAI's protocols have no such knob; top_p narrows the choice likewise |
thinking | = reasoning_effort, the word for the budget; adaptive and disabled are the model's own habit | \
= reasoning.effort, the word for the budget
output_config | = reasoning_effort for effort, response_format for format | = reasoning.effort, text.format
service_tier | - tiers of one provider mean nothing, or another price, at the next |
cache_control | - other providers cache by themselves; the answer is the same |
container | - a container of Anthropic's; the tools that use it are dropped too |
context_management | - only shortens what Anthropic reads; here the history is read whole; a compaction edit is heeded |
compaction | = messages, a request for a summary; the reply is the compaction block that is made of it | \
= input, a request for a summary; the reply is the compaction block that is made of it
diagnostics | - only makes Anthropic report more about the request |
inference_geo workspace_id user_profile_id | - about Anthropic's own regions and accounts |
speed | - a faster mode of Anthropic's; the answer is the same |
billing_policy fallback_credit_token | - about Anthropic's bill |
fallbacks | - other models of Anthropic's to try; [models] names them here |
mcp_servers | - Anthropic calls them; the model answers without their tools |
thread | ! the upstream holds no conversations; where [responses] keeps any, this proxy holds them in its place |
role:user role:assistant | = messages, with the same role; neighbours of one role become one message | = input
role:system | = messages, as marked text in the user's turn: its place counts | = input, a system message
block:text | = messages | = input
block:image | = messages, an image_url part; a file_id is refused | = input, an input_image; a file_id is refused
block:document | = messages, a file part or text; a URL or file_id is refused | = input, an input_file or text
block:search_result | = messages, in words | = input, in words
block:thinking | - its signature is for Anthropic; the text goes back by [upstream] reasoning_history |
block:redacted_thinking | - a cipher that only Anthropic reads |
block:tool_use | = messages, an assistant's tool_calls | = input, a function_call
block:tool_result | = messages, role tool; images follow in a user message | = input, a function_call_output
block:tool_reference | = tools, the tool is offered from here on |
block:browser_state | - part of a browser tool's screenshot; the picture itself crosses |
block:web_search_tool_result block:web_fetch_tool_result block:code_execution_tool_result \
block:bash_code_execution_tool_result block:text_editor_code_execution_tool_result block:tool_search_tool_result \
block:advisor_tool_result block:mcp_tool_result \
| = messages, what a person could read of it | = input, what a person could read of it
block:mcp_tool_use | - a call that Anthropic ran; what came of it is said in words |
block:server_tool_use | - a call that Anthropic ran; what came of it is said in words | \
- a call that Anthropic ran; what came of it is said in words; beside an offered web_search its calls are mapped
block:container_upload | - a file in a container of Anthropic's, which no other model can open |
block:compaction | = messages, the summary as text | = input, the summary as text
block:tool_addition block:tool_removal | = tools, as they are at the end; the model is told where they change |
block:mcp_tool_listing | - the tools of a server that Anthropic calls |
block:fallback | - a note that another model went on; its words cross |
tool:custom | = tools, a function |
tool:bash_20241022 tool:bash_20250124 tool:text_editor_20241022 tool:text_editor_20250124 tool:text_editor_20250429 \
tool:text_editor_20250728 tool:computer_20241022 tool:computer_20250124 tool:computer_20251124 tool:memory_20250818 \
| = tools, a function with the arguments that Anthropic publishes for that version |
tool:computer_toolset_20260801 tool:browser_toolset_20260801 \
| = tools, a function for each member, told apart again in the reply |
tool:code_execution_20250522 tool:code_execution_20250825 tool:code_execution_20260120 tool:code_execution_20260521 \
tool:web_fetch_20250910 \
tool:web_fetch_20260209 tool:web_fetch_20260309 tool:web_fetch_20260318 tool:advisor_20260301 tool:mcp_toolset \
| - Anthropic runs it, and other upstreams cannot; the model works with the other tools |
tool:web_search_20250305 tool:web_search_20260209 tool:web_search_20260318 \
| - Anthropic runs it, and Chat has no search that its servers share; the model works with the other tools \
| = tools, web_search, by [upstream] web_search; max_uses and blocked_domains are dropped
tool:tool_search_tool_bm25 tool:tool_search_tool_bm25_20251119 tool:tool_search_tool_regex \
tool:tool_search_tool_regex_20251119 | = tools, a function that the proxy answers itself; the deferred tools at once \
where they are fewer than [translate] deferred_tools; dropped where there are none |
"""

CHAT = """
name | messages | responses
model | = model, the upstream's name for it; the reply has the client's |
messages | = messages | = input
max_completion_tokens max_tokens | = max_tokens; Messages demands one, so one is chosen if it is missing | \
= max_output_tokens, at least 16
tools | = tools |
functions | = tools, one call in a message; the reply has function_call |
tool_choice | = tool_choice; required is any; allowed_tools leaves the others out |
function_call | = tool_choice |
parallel_tool_calls | = tool_choice.disable_parallel_tool_use, inverted | ~
stop | = stop_sequences; those of white space are left out | - the protocol has none: the reply goes on past them
stream | ~ |
temperature | = temperature, at most 1; left out beside thinking, and for Claude from Opus 4.7 on | ~
top_p | = top_p; left out beside temperature, under 0.95 beside thinking, and for Claude from Opus 4.7 on | ~
reasoning_effort | = thinking, or output_config.effort, by the model | = reasoning.effort
response_format | = output_config.format; json_object is asked for in words | = text.format
user safety_identifier | = metadata.user_id, hashed where Anthropic would refuse it | = user
stream_options | - include_usage is honoured here; the rest is about padding | - include_usage is honoured here
service_tier | - tiers of one provider mean nothing, or another price, at the next | ~
metadata | - labels for OpenAI's own store | ~
store | - Anthropic stores nothing to be fetched later | ~
prompt_cache_key | - Anthropic's cache goes by cache_control | ~
prompt_cache_options prompt_cache_retention | - Anthropic's cache goes by cache_control | ~
moderation | - a check that OpenAI makes beside the answer | ~
verbosity | - a habit of OpenAI's models; say it in the prompt | = text.verbosity
frequency_penalty presence_penalty seed logit_bias | - there is no such knob: the model draws its words without it |
logprobs | - tokens' probabilities are not told: the reply has none |
top_logprobs | - tokens' probabilities are not told: the reply has none |
n | ! these protocols give one answer to a request |
audio | - the voice of a spoken reply; the reply is text |
modalities | - the reply is text |
prediction | - only makes the reply faster |
web_search_options | = tools, web_search_20250305, by [upstream] web_search | \
= tools, web_search, by [upstream] web_search
role:developer role:system | = system at the head, marked text in the user's turn later | = instructions at the head
role:user role:assistant | = messages | = input
role:tool role:function | = messages, a tool_result at the start of the user's turn | = input, a function_call_output
block:text block:refusal | = messages | = input
block:image_url | = messages, an image | = input, an input_image
block:input_audio | ! the protocol takes no audio in requests |
block:file | = messages, a document; a file_id is refused | = input, an input_file; a file_id is refused
call:function | = messages, a tool_use | = input, a function_call
call:custom | = messages, a tool_use whose input is {"input": text} | = input, a custom_tool_call
tool:function | = tools |
tool:custom | = tools, one that takes {"input": text}; its grammar is told in the description | = tools
"""

RESPONSES = """
name | messages | chat
model | = model, the upstream's name for it; the reply has the client's |
input | = messages |
instructions | = system | = messages, a system (or developer) message
max_output_tokens | = max_tokens; Messages demands one, so one is chosen if it is missing | = max_tokens
tools | = tools |
tool_choice | = tool_choice; allowed_tools leaves the others out |
parallel_tool_calls | = tool_choice.disable_parallel_tool_use, inverted | ~
temperature | = temperature, at most 1; left out beside thinking, and for Claude from Opus 4.7 on | ~
top_p | = top_p; left out beside temperature, under 0.95 beside thinking, and for Claude from Opus 4.7 on | ~
reasoning | = thinking, or output_config.effort, by the model | = reasoning_effort
text | = output_config.format; verbosity is dropped | = response_format; verbosity, at models that know it
user safety_identifier | = metadata.user_id, hashed where Anthropic would refuse it | = user
stream | ~ | = stream, and stream_options.include_usage
prompt_cache_key | - Anthropic's cache goes by cache_control | ~
prompt_cache_options prompt_cache_retention | - about OpenAI's prompt cache; the answer is the same |
previous_response_id | ! it names a response that the upstream has not stored |
conversation | ! it names a conversation that the upstream does not keep |
prompt | ! it names a prompt that the upstream does not keep |
background | ! the upstream answers while the client waits, or not at all |
background_options | - means nothing without background |
access_programs image | - about OpenAI's own services |
context_management | - only shortens what the model reads; the threshold of a compaction is heeded |
truncation | - only shortens what the model reads; here too long a history is an error |
include | - more about tools that OpenAI runs; encrypted reasoning is always given |
max_tool_calls | - counts calls of tools that OpenAI runs, of which there are none |
metadata | - labels for OpenAI's own store |
moderation | - a check that OpenAI makes beside the answer |
service_tier | - tiers of one provider mean nothing, or another price, at the next |
store | - the upstream stores nothing to be fetched later |
stream_options | - about padding |
top_logprobs | - tokens' probabilities are not told: the reply has none |
role:user role:assistant | = messages |
role:system role:developer | = system at the head, marked text in the user's turn later | \
= messages, the system message at the head, marked text in the user's turn later
block:input_text block:output_text block:refusal | = messages |
block:input_image | = messages, an image; a file_id is refused | = messages, an image_url; a file_id is refused
block:input_file | = messages, a document; a file_id is refused | = messages, a file; a URL or file_id is refused
item:function_call | = messages, a tool_use | = messages, an assistant's tool_calls
item:function_call_output | = messages, a tool_result | = messages, role tool; images follow in a user message
item:custom_tool_call | = messages, a call of a function that takes {"input": text} |
item:custom_tool_call_output | = messages, as function_call_output |
item:tool_search_output item:additional_tools | = tools, offered from here on, and named in the history |
item:reasoning | - a cipher that only its provider reads; ours, which holds Anthropic's signature, is opened | \
- a cipher that only its provider reads; a summary goes back by [upstream] reasoning_history
item:item_reference | ! what it stands for is in another upstream's store; what is kept here stands in its place |
item:compaction | - a cipher that only its provider reads: the model is told that something is missing; ours is opened |
item:compaction_trigger | = messages, a request for a summary; the reply is the compaction item that is made of it |
item:configuration_update | - settings of OpenAI's own model |
item:tool_search_call | = messages, a call of the function that stands for the search |
item:web_search_call item:image_generation_call item:mcp_list_tools item:mcp_approval_request \
item:mcp_approval_response item:program | - a call that OpenAI ran; what the model said of it crosses |
item:file_search_call item:code_interpreter_call item:mcp_call item:program_output \
| = messages, what a person could read of it |
item:computer_call item:local_shell_call item:shell_call item:apply_patch_call \
| = messages, a call of the function that stands for the tool |
item:computer_call_output item:local_shell_call_output item:shell_call_output item:apply_patch_call_output \
| = messages, the result of such a call; a screenshot is an image |
tool:function | = tools |
tool:custom | = tools, a function that takes {"input": text}; its grammar is told in the description |
tool:namespace | = tools, its functions under flat names, told apart again in the reply |
tool:tool_search | = tools, a function that the client answers, or the proxy; the deferred tools at once where they \
are fewer than [translate] deferred_tools; dropped where there are none |
tool:web_search tool:web_search_2025_08_26 tool:web_search_preview tool:web_search_preview_2025_03_11 \
| = tools, web_search_20250305, by [upstream] web_search; search_context_size is dropped, and so is a search that is \
to keep off the live web | - OpenAI runs it, and Chat has no search that its servers share
tool:file_search tool:mcp tool:code_interpreter tool:programmatic_tool_calling \
tool:image_generation | - OpenAI runs it, and other upstreams cannot; the model works with the other tools |
tool:computer tool:computer_use_preview tool:local_shell tool:apply_patch \
| = tools, a function whose arguments are the action of the tool's call |
tool:shell | = tools, a function whose arguments are the action of the tool's call; one in a container of OpenAI's is \
dropped |
"""

# Fields within these that cross without a word, and need none: a pattern of names, and why.
SILENT = """
*.id *.status | names the thing in the store of its own provider
*.caller *.toolset_name *.approval_request_id | who ran it at its own provider; what came of it crosses
*.allowed_callers | as unsaid: the model itself calls it
*.strict | always so at Anthropic; a search has no arguments of the client's
*.user_location *.external_web_access *.filters | says nothing by itself, or what is so anyway; what is in it crosses
*.file_id | beside the data itself it says the same; alone it is refused
*.logprobs | how likely the model's words were; they cross
*.phase | how OpenAI's models label what they have said; the words cross
block:compaction.encrypted_content block:compaction.signature | its provider's proof; the summary crosses
block:compaction.tool_changes* | changes of tools that are not there
block:search_result.citations block:search_result.citations.enabled | asks for citations of Anthropic's form
block:search_result.content.cache_control* | a part of what may be marked as a whole
role:system.clear_at role:system.output_config | means nothing where it changes nothing; what it changes is changed
thinking.display reasoning.summary reasoning.generate_summary | what is told of the model's thinking is told
tool:custom.format tool:custom.custom.format | free text, as unsaid
tool:namespace.tools.parameters | an empty schema, as unsaid
item:function_call_output.call_id item:function_call_output.name item:function_call_output.namespace \
| the call says it
item:tool_search_output.execution item:tool_search_call.execution | who searched; what was found is offered
*.defer_loading | few deferred tools are offered at once, more are searched for; what has been found is offered
tool:tool_search.description tool:tool_search.parameters | those of a search that the client runs are offered
tool:*_toolset_*.configs* | as unsaid: the tool is offered
tool:tool_search_tool_*.cache_control* block:tool_search_tool_result.cache_control* \
| the proxy answers the search itself
item:computer_call.pending_safety_checks.* item:computer_call_output.acknowledged_safety_checks* | OpenAI's own checks
item:shell_call.environment* item:shell_call_output.max_output_length | where it ran, and how much of it was kept
item:file_search_call.results item:file_search_call.results.score | an empty result; its texts cross
"""

_TABLES: dict[str, str] = {"messages": MESSAGES, "chat": CHAT, "responses": RESPONSES}


@dataclass(frozen=True, slots=True)
class Row:
    """note: where to (mapped), why it is harmless (dropped), why not (refused), "" (carried)."""

    fate: Fate
    note: str


@cache
def rows(client: str, upstream: str) -> dict[str, Row]:
    """Name -> its row, for a crossing from `client` to `upstream`, in the order of the table. Within one protocol all
    is carried."""
    head, *lines = _TABLES[client].strip().splitlines()
    if client == upstream:
        return {name: Row("carried", "") for line in lines for name in _cells(line)[0].split()}
    column = _cells(head).index(upstream)
    found: dict[str, Row] = {}
    for line in lines:
        cells = _cells(line)
        cell = cells[column] or cells[1]
        for name in cells[0].split():
            found[name] = Row(FATES[cell[0]], cell[1:].strip())
    return found


@cache
def silent() -> dict[str, str]:
    """Pattern of names -> why such a field may stay behind without a word."""
    lines = (line.partition("|") for line in SILENT.strip().splitlines())
    return {name: why.strip() for names, _, why in lines for name in names.split()}


def is_dropped(client: str, upstream: Protocol, kind: str) -> bool:
    """Is a block or an item of this type one that is known to stay behind?"""
    found = rows(client, upstream) if client in _TABLES else {}
    row = found.get(f"block:{kind}") or found.get(f"item:{kind}")
    return row is not None and row.fate == "dropped"


def why(client: Protocol, upstream: Protocol, dropped: str) -> str:
    """The reason for a name as it stands in x-proxy-dropped ("top_k", "tools.TYPE", "thinking.display", a block's or
    an item's type); "" where there is no row for it."""
    known = rows(client, upstream)
    section, _, inner = dropped.partition(".")
    names = [dropped, f"tool:{inner}" if section == "tools" else f"block:{dropped}", f"item:{dropped}"]
    names += [f"block:{inner}", f"item:{inner}"] if section in ("messages", "input") else []
    return next((known[name].note for name in names if name in known and known[name].fate == "dropped"), "")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]
