"""What becomes of everything that a Responses request can say: see translate/fields/ledger.py for how to read it."""

from __future__ import annotations

from translate.fields.ledger import Table

LEDGER = Table("responses", """
name | messages | chat | gemini
model | = model, the upstream's name for it; the reply has the client's |  | = the address, with the upstream's name \
for it; the reply has the client's
input | = messages |  | = contents
instructions | = system | = messages, a system (or developer) message | = systemInstruction
max_output_tokens | = max_tokens; Messages demands one, so one is chosen if it is missing | = max_tokens | = \
generationConfig.maxOutputTokens
tools | = tools |  | = tools
tool_choice | = tool_choice; allowed_tools leaves the others out |  | = toolConfig, functionCallingConfig; that only \
one call may come at once is dropped
parallel_tool_calls | = tool_choice.disable_parallel_tool_use, inverted | ~ | - Google has no word for one call at a \
time
temperature | = temperature, at most 1; left out beside thinking, and for Claude from Opus 4.7 on | ~ | = \
generationConfig.temperature
top_p | = top_p; left out beside temperature, under 0.95 beside thinking, and for Claude from Opus 4.7 on | ~ | = \
generationConfig.topP
reasoning | = thinking, or output_config.effort, by the model | = reasoning_effort, or what [upstream] thinking_switch \
names; chat_template_kwargs, enable_thinking, reasoning.enabled, thinking.type | = \
generationConfig.thinkingConfig, a word or a budget by the model
text | = output_config.format; verbosity is dropped | = response_format; verbosity, at models that know it | = \
generationConfig.responseSchema for format
user safety_identifier | = metadata.user_id, hashed where Anthropic would refuse it | = user | - Google takes no \
user's id
stream | ~ | = stream, and stream_options.include_usage | = the address
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
include | - more about tools that OpenAI runs; encrypted reasoning is always given | - the same; \
message.output_text.logprobs is logprobs, but for OpenAI's models that reason | - as for Messages
max_tool_calls | - counts calls of tools that OpenAI runs, of which there are none |
metadata | - labels for OpenAI's own store |  | - Google takes no user's id
multi_agent | - OpenAI runs the other agents; the model answers alone |
moderation | - a check that OpenAI makes beside the answer |
service_tier | - tiers of one provider mean nothing, or another price, at the next |  | = serviceTier; flex and \
priority, others are dropped
store | - the upstream stores nothing to be fetched later |
stream_options | - about padding |
top_logprobs | - tokens' probabilities are not told: the reply has none | - tokens' probabilities are told where \
include asks for them, but by OpenAI's models that reason | - tokens' probabilities are not told: the reply has none
role:user role:assistant | = messages |  | = contents
role:system role:developer | = system at the head, marked text in the user's turn later | = messages, the system \
message at the head, marked text in the user's turn later | = systemInstruction
block:input_text block:output_text block:refusal | = messages |  | = contents
block:input_image | = messages, an image; a file_id is refused | = messages, an image_url; a file_id is refused | = \
contents
block:input_file | = messages, a document; a file_id is refused | = messages, a file; a URL or file_id is refused | = \
contents
item:function_call | = messages, a tool_use | = messages, an assistant's tool_calls | = contents
item:function_call_output | = messages, a tool_result | = messages, role tool; images follow in a user message | = \
contents
item:custom_tool_call | = messages, a call of a function that takes {"input": text} |  | = contents
item:custom_tool_call_output | = messages, as function_call_output |  | = contents
item:tool_search_output item:additional_tools | = tools, offered from here on, and named in the history |
item:reasoning | - a cipher that only its provider reads; ours, which holds Anthropic's signature, is opened | - a \
cipher that only its provider reads; a summary goes back by [upstream] reasoning_history
item:item_reference | ! what it stands for is in another upstream's store; what is kept here stands in its place |
item:compaction | - a cipher that only its provider reads: the model is told that something is missing; ours is \
opened |
item:compaction_trigger | = messages, a request for a summary; the reply is the compaction item that is made of it | \
| = contents
item:configuration_update | - settings of OpenAI's own model |
item:tool_search_call | = messages, a call of the function that stands for the search |  | = contents
item:image_generation_call | = messages, its picture, in the user's next turn |  | = contents, its picture
item:web_search_call item:mcp_list_tools item:mcp_approval_request \
item:mcp_approval_response item:program | - a call that OpenAI ran; what the model said of it crosses |
item:file_search_call item:code_interpreter_call item:mcp_call item:program_output item:multi_agent_call \
item:multi_agent_call_output item:agent_message | = messages, what a person could \
read of it |  | = contents
item:computer_call item:local_shell_call item:shell_call item:apply_patch_call | = messages, a call of the function \
that stands for the tool |  | = contents
item:computer_call_output item:local_shell_call_output item:shell_call_output item:apply_patch_call_output | = \
messages, the result of such a call; a screenshot is an image |  | = contents
tool:function | = tools |
tool:custom | = tools, a function that takes {"input": text}; its grammar is told in the description |
tool:namespace | = tools, its functions under flat names, told apart again in the reply |
tool:tool_search | = tools, a function that the client answers, or the proxy; the deferred tools at once where they \
are fewer than [translate] deferred_tools; dropped where there are none |
tool:web_search tool:web_search_2025_08_26 tool:web_search_preview tool:web_search_preview_2025_03_11 | = tools, \
web_search_20250305, by [upstream] web_search; search_context_size is dropped, and so is a search that is to keep off \
the live web | - OpenAI runs it, and Chat has no search that its servers share | = tools, googleSearch, by [upstream] \
web_search; beside functions from Gemini 3 on
tool:file_search tool:mcp tool:code_interpreter tool:programmatic_tool_calling tool:image_generation | - OpenAI runs \
it, and other upstreams cannot; the model works with the other tools |
tool:computer tool:computer_use_preview tool:local_shell tool:apply_patch | = tools, a function whose arguments are \
the action of the tool's call |
tool:shell | = tools, a function whose arguments are the action of the tool's call; one in a container of OpenAI's is \
dropped |
""")  # fmt: skip
