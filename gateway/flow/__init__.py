"""One request: its walk, its attempts, and every way it ends. Begin with flow.py.

the walk      flow: from top to bottom; next_step: where an attempt waits, is late or is lost; states: the table of what
              may follow; ports: what a flow is handed; watching: once a second; waves: many requests together; info:
              what observers may read; timing, trace
the request   client_request; outline: `model` and `stream` in its bytes; resolving: what must be known first;
              charges: to quotas and budgets; sharing: one answer for several; reattach: the client comes back
what is sent  prepare: body and reader of the reply; crossed: the translated request; upstream_request: headers and
              checks; vectors, sealing (into a cloud's envelope), compaction
an attempt    failover: which endpoint is next; lease: what it takes and gives back; attempt, attempt_owner; incoming:
              what libcurl brings; continued_turn: further requests of one turn
the reply     whole_reply; made_files: whose they are; streams are read by gateway/passing and translate
errors        outcomes: what they mean; teaching: what is asked differently from then on (gateway/refusals)
the end       completion: what the client gets last; settling: what is settled and told then
tokens        token_counting: who counts them (gateway/counting)
"""
