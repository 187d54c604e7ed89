"""What becomes of everything that a Gemini request can say: see translate/fields/ledger.py for how to read it."""

from __future__ import annotations

from translate.fields.ledger import Table

LEDGER = Table("gemini", """
name | messages | chat | responses
model | = model, the upstream's name for it; the reply has the client's
contents | = messages | = messages | = input
systemInstruction | = system | = messages, one system message at the head | = instructions
tools | = tools
toolConfig | = tool_choice; ANY with one name is that tool, with several the others are left out; its retrievalConfig \
is dropped | = tool_choice | = tool_choice
generationConfig | = the fields of its own name
safetySettings | - thresholds of Google's own filters; other providers have theirs
cachedContent | ! a beginning that Google alone has kept
continuationToken | ! goes on with a reply that Google has begun
labels | - labels for Google's own bill
serviceTier | - tiers of one provider mean nothing, or another price, at the next
store | - what is kept by Google for later
stream | = stream; clients say it by the address | = stream, and stream_options.include_usage | ~
generationConfig.maxOutputTokens | = max_tokens; Messages demands one, so one is chosen if it is missing | = \
max_tokens | = max_output_tokens, at least 16
generationConfig.temperature generationConfig.topP | = temperature, top_p, as far as the model takes them | = \
temperature, top_p | = temperature, top_p
generationConfig.topK | = top_k | - OpenAI's protocols have no such knob; top_p narrows the choice likewise | - \
OpenAI's protocols have no such knob; top_p narrows the choice likewise
generationConfig.stopSequences | = stop_sequences | = stop, the first four | - the protocol has none
generationConfig.seed generationConfig.presencePenalty generationConfig.frequencyPenalty | - there is no such knob: \
the model draws its words without it | = seed, presence_penalty, frequency_penalty | - there is no such knob: the \
model draws its words without it
generationConfig.responseMimeType | = output_config.format for JSON, and for one of several words, \
which the client gets without quotes | = \
response_format | = text.format
generationConfig.responseSchema generationConfig.responseJsonSchema | = output_config.format | = response_format | = \
text.format
generationConfig.thinkingConfig | = thinking, or output_config.effort, by the model | = reasoning_effort, or what \
[upstream] thinking_switch names; chat_template_kwargs, enable_thinking, reasoning.enabled, thinking.type | = \
reasoning.effort
generationConfig.candidateCount | ! more than one answer to a request
generationConfig.responseModalities generationConfig.speechConfig generationConfig.imageConfig | - how and whether \
Google's models draw and speak; others decide themselves
generationConfig.responseLogprobs generationConfig.logprobs | - tokens' probabilities are not told: the reply has \
none
generationConfig.mediaResolution | - how finely Google reads media; they cross as they are
generationConfig.audioTimestamp generationConfig.enableAffectiveDialog generationConfig.modelSelectionConfig \
generationConfig.routingConfig generationConfig.enableEnhancedCivicAnswers generationConfig.responseFormat \
generationConfig.translationConfig generationConfig.audioTranscriptionConfig | - a habit of Google's own models
role:user role:model | = messages | = messages | = input
block:text | = messages | = messages | = input
block:inlineData block:fileData | = messages, an image or a document; audio, video and Google's own files are refused \
| = messages, an image_url, file or input_audio part; video and Google's own files are refused | = input, an \
input_image or input_file; audio, video and Google's own files are refused
block:functionCall | = messages, a tool_use | = messages, an assistant's tool_calls | = input, a function_call
block:functionResponse | = messages, a tool_result | = messages, role tool | = input, a function_call_output
block:thought | - nobody has signed its words; what its provider has signed goes back under thoughtSignature
block:thoughtSignature | = messages, the thinking blocks that it seals; Google's own is dropped | = messages, \
reasoning_details, or extra_content for a model of Google's | = input, the reasoning items that it seals; Google's \
own is dropped
block:executableCode block:codeExecutionResult block:toolCall block:toolResponse | = messages, in words | = messages, \
in words | = input, in words
block:audioTranscription | = messages, in words | = messages, in words | = input, in words
block:videoMetadata block:mediaResolution block:partMetadata block:mediaProcessing block:speechMetadata \
block:documentMetadata block:spreadsheetMetadata block:audioMetadata | - how Google reads the part; its content \
crosses
tool:functionDeclarations | = tools, functions; behavior and the response's schema are dropped
tool:googleSearch tool:googleSearchRetrieval tool:enterpriseWebSearch | = tools, web_search, by [upstream] web_search \
| - Google runs it, and Chat has no search that its servers share; the model works with the other tools | = tools, \
web_search, by [upstream] web_search
tool:codeExecution tool:urlContext tool:googleMaps tool:fileSearch tool:computerUse tool:retrieval tool:mcpServers \
tool:parallelAiSearch tool:exaAiSearch | - Google runs it, and other upstreams cannot; the model works with the other \
tools
""")  # fmt: skip
