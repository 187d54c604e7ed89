"""One request: its walk, its attempts, and every way it ends. Begin with flow.py.

the walk      flow: from top to bottom; next_step: where an attempt waits, is late or is lost; states: the table of what
              may follow; ports: what a flow is handed; watching: once a second; waves: many requests together; info:
              what observers may read; timing, trace
the request   client_request; outline: `model` and `stream` in its bytes; resolving: what must be known first;
              charges: to quotas and budgets; sharing: one answer for several; reattach: the client comes back
what is sent  prepare: body and reader of the reply; crossed: the translated request; upstream_request: headers and
              checks; strip_fields, usage_chunk, vectors, sealing (into a cloud's envelope), compaction
an attempt    failover: which endpoint is next; lease: what it takes and gives back; attempt, attempt_owner; incoming:
              what libcurl brings; continued_turn: further requests of one turn
the reply     passthrough: the same bytes; opening: its beginning waits; whole_reply; reframed: streams that are no
              server-sent events; refusal_hold; clean_lines: without the upstream's secrets; made_files: whose they are
errors        outcomes: what they mean; teaching and learned_quirks: what is asked differently from then on;
              refused_fields, told_limits: what they say of fields and limits; scrub, known_phrases and own_words:
              what of them a log may have
the end       completion: what the client gets last; settling: what is settled and told then
tokens        token_counting, calibration (estimates), exact_counts, vocabulary
"""
