"""What the protocols mean: pure functions from bytes and objects to bytes and objects.

`dialect.py` says what a protocol is to the rest of the program, and `dialects.py` has the table of protocols. `pair.py`
is the door: it takes a request from one protocol to another, and the reply back. In between is the neutral form of
`conversation.py`. messages/, chat/, responses/ and gemini/ are one protocol each, and have files of the same names:

requests     decode_request, decode_messages: a client's body -> neutral form; encode_request, encode_messages: back
             (Gemini says contents for messages)
replies      decode_stream, assembly, reply: an upstream's bytes -> neutral events; encode_stream, reply: back
within them  usage: tokens; stop: why a reply ended; fault: errors; citations; words: the client's names of fields
the table    ledger: what becomes of each field of a request

What several protocols share is in folders by what it is about:

json/       JSON as bytes and as values, looked into without a parse
streams/    events split, read on the fast path, put in sequence, written
fields/     what becomes of each field of a request that crosses, and what is left over
tools/      custom tools, deferred tools, a provider's own tools; results behind their calls
parts/      pictures, files, citations, and what is told as text
reasoning/  how hard to think, and thoughts that come back to their provider
failures/   what goes wrong: errors, refusals, limits and their ends
counting/   tokens: used, estimated, counted
schemas/    JSON schemas that fit the upstream
envelopes/  what clouds put around Messages

ollama/ and codex/ are about clients. The other files are few: target (where a request goes), endpoint (an address),
encode_context, repair, recurring, affinity; model_list; continued_turn, compaction and summary_reply for long turns;
late for patterns that few requests need.
"""
