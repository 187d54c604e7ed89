"""Streams of events.

sse        bytes in, whole events out
reading    what every decoder does with events; deltas: the fast path, on which no event is parsed; pieces: checks its
           texts
repeats    what of a reply is new, since servers repeat themselves
sequence   parts leave one at a time, however they arrive
writing    what most encoders do
"""
