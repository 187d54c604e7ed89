"""What becomes of everything that a Messages request can say: see translate/fields/ledger.py for how to read it."""

from __future__ import annotations

from translate.fields.ledger import Table

LEDGER = Table(
    "messages",
    """
name | chat | responses | gemini
model | = model, the upstream's name for it; the reply has the client's |  | = the address, with the upstream's name \
for it; the reply has the client's
max_tokens | = max_tokens, or max_completion_tokens, by [upstream] max_tokens_field | = max_output_tokens, at least \
16 | = generationConfig.maxOutputTokens
messages | = messages | = input | = contents
system | = messages, one system (or developer) message at the head; billing blocks left out | = instructions | = \
systemInstruction
tools | = tools |  | = tools
tool_choice | = tool_choice; disable_parallel_tool_use is parallel_tool_calls, inverted |  | = toolConfig, \
functionCallingConfig; that only one call may come at once is dropped
metadata | = user, of user_id, hashed if over 64 characters, and prompt_cache_key where the upstream takes one; its \
other keys are dropped |  | - Google takes no user's id
stop_sequences | = stop, the first four | - the protocol has none: the reply goes on past them | = \
generationConfig.stopSequences, the first five
stream | = stream, and stream_options.include_usage | ~ | = the address
temperature | ~ |  | = generationConfig.temperature
top_p | ~ |  | = generationConfig.topP
top_k | - OpenAI's protocols have no such knob; top_p narrows the choice likewise |  | = generationConfig.topK
thinking | = reasoning_effort, the word for the budget; adaptive and disabled are the model's own habit, or said by \
what [upstream] thinking_switch names; chat_template_kwargs, enable_thinking, reasoning.enabled or the like | = \
reasoning.effort, the word for the budget | = generationConfig.thinkingConfig, a word or a budget by the model
output_config | = reasoning_effort for effort, response_format for format | = reasoning.effort, text.format | = \
generationConfig.thinkingConfig for effort, responseSchema for format
service_tier | - tiers of one provider mean nothing, or another price, at the next |
cache_control | - other providers cache by themselves; the answer is the same |
container | - a container of Anthropic's; the tools that use it are dropped too |
context_management | - only shortens what Anthropic reads; here the history is read whole; a compaction edit is \
heeded |
compaction | = messages, a request for a summary; the reply is the compaction block that is made of it | = input, a \
request for a summary; the reply is the compaction block that is made of it | = contents, a request for a summary; \
the reply is the compaction block that is made of it
diagnostics | - only makes Anthropic report more about the request |
inference_geo workspace_id user_profile_id | - about Anthropic's own regions and accounts |
speed | - a faster mode of Anthropic's; the answer is the same |
billing_policy fallback_credit_token | - about Anthropic's bill |
fallbacks | - other models of Anthropic's to try; [models] names them here |
mcp_servers | - Anthropic calls them; the model answers without their tools |
thread | ! the upstream holds no conversations; where [responses] keeps any, this proxy holds them in its place |
role:user role:assistant | = messages, with the same role; neighbours of one role become one message | = input | = \
contents
role:system | = messages, the system message at the head, marked text in the user's turn later: its place counts | = \
input, a system message; at the head instructions | = contents; at the head systemInstruction
block:text | = messages | = input | = contents
block:image | = messages, an image_url part; a file_id is refused | = input, an input_image; a file_id is refused | = \
contents
block:document | = messages, a file part or text; a URL or file_id is refused | = input, an input_file or text | = \
contents
block:search_result | = messages, in words | = input, in words | = contents
block:thinking | - its signature is for Anthropic; the text goes back by [upstream] reasoning_history |
block:redacted_thinking | - a cipher that only Anthropic reads |
block:tool_use | = messages, an assistant's tool_calls | = input, a function_call | = contents
block:tool_result | = messages, role tool; images follow in a user message | = input, a function_call_output | = \
contents
block:tool_reference | = tools, the tool is offered from here on |
block:browser_state | - part of a browser tool's screenshot; the picture itself crosses |
block:web_search_tool_result block:web_fetch_tool_result block:code_execution_tool_result \
block:bash_code_execution_tool_result block:text_editor_code_execution_tool_result block:tool_search_tool_result \
block:advisor_tool_result block:mcp_tool_result | = messages, what a person could read of it | = input, what a person \
could read of it | = contents
block:mcp_tool_use | - a call that Anthropic ran; what came of it is said in words |
block:server_tool_use | - a call that Anthropic ran; what came of it is said in words | - a call that Anthropic ran; \
what came of it is said in words; beside an offered web_search its calls are mapped
block:container_upload | - a file in a container of Anthropic's, which no other model can open |
block:compaction | = messages, the summary as text | = input, the summary as text | = contents
block:tool_addition block:tool_removal | = tools, as they are at the end; the model is told where they change |
block:mcp_tool_listing | - the tools of a server that Anthropic calls |
block:fallback | - a note that another model went on; its words cross |
tool:custom | = tools, a function |
tool:bash_20241022 tool:bash_20250124 tool:text_editor_20241022 tool:text_editor_20250124 tool:text_editor_20250429 \
tool:text_editor_20250728 tool:computer_20241022 tool:computer_20250124 tool:computer_20251124 tool:memory_20250818 | \
= tools, a function with the arguments that Anthropic publishes for that version |
tool:computer_toolset_20260801 tool:browser_toolset_20260801 | = tools, a function for each member, told apart again \
in the reply |
tool:code_execution_20250522 tool:code_execution_20250825 tool:code_execution_20260120 tool:code_execution_20260521 \
tool:web_fetch_20250910 tool:web_fetch_20260209 tool:web_fetch_20260309 tool:web_fetch_20260318 tool:advisor_20260301 \
tool:mcp_toolset | - Anthropic runs it, and other upstreams cannot; the model works with the other tools |
tool:web_search_20250305 tool:web_search_20260209 tool:web_search_20260318 | - Anthropic runs it, and Chat has no \
search that its servers share; the model works with the other tools | = tools, web_search, by [upstream] web_search; \
max_uses and blocked_domains are dropped | = tools, googleSearch, by [upstream] web_search; beside functions from \
Gemini 3 on
tool:tool_search_tool_bm25 tool:tool_search_tool_bm25_20251119 tool:tool_search_tool_regex \
tool:tool_search_tool_regex_20251119 | = tools, a function that the proxy answers itself; the deferred tools at once \
where they are fewer than [translate] deferred_tools; dropped where there are none |
""",
)
