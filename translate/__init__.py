"""What the protocols mean: pure functions from bytes and objects to bytes and objects.

`dialect.py` says what a protocol is to the rest of the program, and `dialects.py` has the table of protocols. `pair.py`
is the door: it takes a request from one protocol to another, and the reply back. In between is the neutral form of
`conversation.py`. messages/, chat/, responses/ and gemini/ are one protocol each, and have files of the same names:

requests     decode_request, decode_messages: a client's body -> neutral form; encode_request, encode_messages: back
             (Gemini says contents for messages)
replies      decode_stream, assembly, reply: an upstream's bytes -> neutral events; encode_stream, reply: back
within them  usage: tokens; stop: why a reply ended; fault: errors; citations; words: the client's names of fields
the table    ledger: what becomes of each field of a request

schemas/ makes JSON schemas fit, envelopes/ has what clouds put around Messages, ollama/ and codex/ are about clients.
The other files are what several protocols share:

JSON and bytes  wire, json_fields, top_level, compact_json, sliced_json, raw_controls, sse, pieces, search_pattern, late
                (patterns that few requests need)
requests        endpoint (an address), target (where it goes), encode_context, fit, leftovers, ledger, words, problems,
                repair, recurring
conversations   pairing (results behind their calls), text_turns, readable, readable_parts, foreign_reasoning,
                sealed_reasoning, openai_media, pictures
tools           provider_tools, websearch, tool_search, deferred_calls, bridge (custom tools), distinct_tools,
                answer_tool, json_mode
settings        effort (how hard to think), affinity (the key of OpenAI's cache), capability (what is not there)
replies         reading, deltas (the fast path), writing (streams), lenient, sequence, repeats, foreign_parts,
                reply_media, citations, usage
long turns      continued_turn, compaction, summary_reply
errors, limits  errors, openai_errors, resets (when a limit ends), rate_headers; tokens and token_features: estimates;
                model_list
"""
