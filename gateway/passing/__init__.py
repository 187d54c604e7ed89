"""Replies that pass through as their upstream sends them. It knows no request (that is gateway/flow).

passthrough   the reader of a reply in its client's own protocol
opening       the beginning of a stream waits until its first word, so that another upstream may still be asked
clean_lines   without the upstream's secrets
usage_chunk   a Chat stream's usage, which the proxy has asked for and the client has not
reframed      streams for clients that get no server-sent events
refusal_hold  a reply waits until it shows that the model does not refuse
"""
