"""The states of a request, the events that it meets, and what each event may do in each state.

TABLE[state][event] is the set of states that may follow. IGNORED (an empty set) means that the event comes too late to
matter; FAULT means that it cannot come, and is a fault of ours if it does. Only the Flow (flow.py) enters a state, and
each time it asks the table. A test drives a real Flow through every pair.

What the code has taught about the table of the design:
- There is no state for refusing. An error that the client gets is a reply like any other: it is written, then flushed.
- RESOLVING is every pause between the body and the first endpoint: another worker is asked for a response, a limiter
  that counts elsewhere answers later, or the loop takes a turn between the reading and the writing of a huge body.
- A request that waits for its wave (waves.py) is in no other state than before: the event whose step this is has not
  come yet.
- SHARING waits for the answer to the same question of another request: a count of tokens, or a whole reply, or the
  first byte of a stream that both get.
- A client that leaves in FLUSHING is seen by the writer, which then says FLUSHED.
- A turn that takes several requests stays in ASKING or in STREAMING; its attempt alone knows of it. A request that goes
  on without its client does not know of that: its writer says CLIENT_LEFT only when nobody comes in the client's place.
- The deltas of a stream do not go through the table (see Attempt._stream).
- JOINED gives the connection of a new request to one that goes on without a client. BROKEN is a reply that cannot go
  on, or a fault of ours.

The steps are bound methods over a table because this was measured to cost least: 1.0 us a request. A coroutine that is
driven by hand costs 1.2 us, and an asyncio task with futures 20 us, which is 4.6 % of a request.
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """IntEnum, since its members are as cheap as numbers, and find their row in a tuple."""

    RECEIVING = 0  # the client sends its body
    RESOLVING = 1  # the body is here; something must be known before an endpoint is asked
    SHARING = 2  # waits for another request's answer, which is its own too
    QUEUED = 3  # waits for a slot
    BACKING_OFF = 4  # waits for a better moment
    ASKING = 5  # an attempt is on its way, perhaps with a hedge beside it
    STREAMING = 6  # the client has the head of the reply
    FLUSHING = 7  # all is said; the client has not got all of it yet
    OVER = 8


class Event(IntEnum):
    BODY_IN = 0
    RESOLVED = 1
    REFUSED = 2  # by us, before any endpoint was asked, or since none can be
    ANSWERED = 3  # by us, or with another request's answer
    ALONE = 4  # the request whose answer it waited for has none
    SLOT = 5
    NO_SLOT = 6
    TIMER = 7  # the wait is over
    HEDGE_TIMER = 8
    FIRST_BYTE = 9  # the first useful one of a stream
    WHOLE_REPLY = 10
    LOST = 11  # an attempt has ended without an answer
    STREAM_END = 12
    BROKEN = 13
    CLIENT_LEFT = 14
    JOINED = 15
    STOPPED = 16  # by us: the process ends, or an operator has cancelled the request
    FLUSHED = 17


IGNORED: frozenset[State] = frozenset()
FAULT: None = None

Ways = dict[Event, frozenset[State]]
_S, _E = State, Event


def _to(*states: State) -> frozenset[State]:
    return frozenset(states)


# After a walk through the plan: an endpoint was found, or none is left.
_WALKED = _to(_S.QUEUED, _S.BACKING_OFF, _S.ASKING, _S.SHARING, _S.FLUSHING, _S.OVER)
_ENDED = _to(_S.FLUSHING, _S.OVER)  # OVER at once where it cannot even be said
_STOPPED: Ways = {_E.REFUSED: _ENDED, _E.BROKEN: _ENDED, _E.STOPPED: _ENDED}
_LATE: Ways = dict.fromkeys(_E, IGNORED)  # all is said: whatever was on its way comes too late

_WAYS: dict[State, Ways] = {
    _S.RECEIVING: _STOPPED | {
        _E.BODY_IN: _WALKED | _to(_S.RESOLVING),
        _E.JOINED: _to(_S.OVER),
        _E.CLIENT_LEFT: _to(_S.OVER),
    },
    _S.RESOLVING: _STOPPED | {
        _E.RESOLVED: _WALKED | _to(_S.RESOLVING),
        _E.CLIENT_LEFT: _to(_S.OVER),
    },
    _S.SHARING: _STOPPED | {
        _E.ANSWERED: _ENDED,
        _E.FIRST_BYTE: _to(_S.STREAMING),
        _E.ALONE: _WALKED,
        _E.CLIENT_LEFT: _to(_S.OVER),
    },
    _S.QUEUED: _STOPPED | {
        _E.SLOT: _WALKED,
        _E.NO_SLOT: _WALKED,
        _E.HEDGE_TIMER: _to(_S.QUEUED),
        _E.CLIENT_LEFT: _to(_S.OVER),
    },
    _S.BACKING_OFF: _STOPPED | {
        _E.TIMER: _WALKED,
        _E.HEDGE_TIMER: _to(_S.BACKING_OFF),
        _E.CLIENT_LEFT: _to(_S.OVER),
    },
    _S.ASKING: _STOPPED | {
        _E.SLOT: _to(_S.ASKING),
        _E.NO_SLOT: _to(_S.ASKING),
        _E.HEDGE_TIMER: _to(_S.ASKING),
        _E.FIRST_BYTE: _to(_S.STREAMING),
        _E.WHOLE_REPLY: _ENDED,
        _E.LOST: _WALKED,
        _E.CLIENT_LEFT: _to(_S.OVER),
    },
    _S.STREAMING: {
        _E.HEDGE_TIMER: IGNORED,
        _E.STREAM_END: _ENDED,
        _E.BROKEN: _ENDED,
        _E.CLIENT_LEFT: _to(_S.OVER),
        _E.STOPPED: _ENDED,
    },
    _S.FLUSHING: _LATE | {_E.FLUSHED: _to(_S.OVER)},
    _S.OVER: _LATE,
}  # fmt: skip

TABLE: tuple[tuple[frozenset[State] | None, ...], ...] = tuple(
    tuple(_WAYS[state].get(event, FAULT) for event in Event) for state in State
)


class Impossible(Exception):
    """An event came in a state in which it cannot come, or did what it cannot do."""
