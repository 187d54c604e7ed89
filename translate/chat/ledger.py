"""What becomes of everything that a Chat request can say: see translate/fields/ledger.py for how to read it."""

from __future__ import annotations

from translate.fields.ledger import Table

LEDGER = Table("chat", """
name | messages | responses | gemini
model | = model, the upstream's name for it; the reply has the client's |  | = the address, with the upstream's name \
for it; the reply has the client's
messages | = messages | = input | = contents
max_completion_tokens max_tokens | = max_tokens; Messages demands one, so one is chosen if it is missing | = \
max_output_tokens, at least 16 | = generationConfig.maxOutputTokens
tools | = tools |  | = tools
functions | = tools, one call in a message; the reply has function_call |  | = tools
tool_choice | = tool_choice; required is any; allowed_tools leaves the others out |  | = toolConfig, \
functionCallingConfig; that only one call may come at once is dropped
function_call | = tool_choice |  | = toolConfig, functionCallingConfig
parallel_tool_calls | = tool_choice.disable_parallel_tool_use, inverted | ~ | - Google has no word for one call at a \
time
stop | = stop_sequences; those of white space are left out | - the protocol has none: the reply goes on past them | = \
generationConfig.stopSequences, the first five
stream | ~ |  | = the address
temperature | = temperature, at most 1; left out beside thinking, and for Claude from Opus 4.7 on | ~ | = \
generationConfig.temperature
top_p | = top_p; left out beside temperature, under 0.95 beside thinking, and for Claude from Opus 4.7 on | ~ | = \
generationConfig.topP
reasoning_effort | = thinking, or output_config.effort, by the model | = reasoning.effort | = \
generationConfig.thinkingConfig, a word or a budget by the model
response_format | = output_config.format; json_object is asked for in words | = text.format; json_object in words, \
too, where no message does | = \
generationConfig.responseSchema, responseMimeType
user safety_identifier | = metadata.user_id, hashed where Anthropic would refuse it | = user | - Google takes no \
user's id
stream_options | - include_usage is honoured here; the rest is about padding | - include_usage is honoured here
service_tier | - tiers of one provider mean nothing, or another price, at the next | ~ | = serviceTier; flex and \
priority, others are dropped
metadata | - labels for OpenAI's own store | ~ | - Google takes no user's id
store | - Anthropic stores nothing to be fetched later | ~
prompt_cache_key | - Anthropic's cache goes by cache_control | ~
prompt_cache_options prompt_cache_retention | - Anthropic's cache goes by cache_control | ~
moderation | - a check that OpenAI makes beside the answer | ~
verbosity | - a habit of OpenAI's models; say it in the prompt | = text.verbosity
frequency_penalty | - there is no such knob: the model draws its words without it |  | = \
generationConfig.frequencyPenalty
presence_penalty | - there is no such knob: the model draws its words without it |  | = \
generationConfig.presencePenalty
seed | - there is no such knob: the model draws its words without it |  | = generationConfig.seed
logit_bias | - there is no such knob: the model draws its words without it |
logprobs | - tokens' probabilities are not told: the reply has none | - OpenAI's models that reason do not \
tell tokens' probabilities; others are asked for them by include and top_logprobs | - tokens' probabilities are not \
told: the reply has none
top_logprobs | - tokens' probabilities are not told: the reply has none | - as with logprobs | - tokens' \
probabilities are not told: the reply has none
n | ! these protocols give one answer to a request |
audio | - the voice of a spoken reply; the reply is text |
modalities | - the reply is text |  | = generationConfig, responseModalities, where pictures are asked for; sound is \
dropped
prediction | - only makes the reply faster |
web_search_options | = tools, web_search_20250305, by [upstream] web_search | = tools, web_search, by [upstream] \
web_search | = tools, googleSearch, by [upstream] web_search; beside functions from Gemini 3 on
role:developer role:system | = system at the head, marked text in the user's turn later | = instructions at the head \
| = systemInstruction
role:user role:assistant | = messages | = input | = contents
role:tool role:function | = messages, a tool_result at the start of the user's turn | = input, a function_call_output \
| = contents
block:text block:refusal | = messages | = input | = contents
block:image_url | = messages, an image | = input, an input_image | = contents
block:input_audio | ! the protocol takes no audio in requests |  | = contents, inlineData
block:file | = messages, a document; a file_id is refused | = input, an input_file; a file_id is refused | = contents
call:function | = messages, a tool_use | = input, a function_call | = contents
call:custom | = messages, a tool_use whose input is {"input": text} | = input, a custom_tool_call | = contents
tool:function | = tools |
tool:custom | = tools, one that takes {"input": text}; its grammar is told in the description | = tools
""")  # fmt: skip
