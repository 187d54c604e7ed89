"""The supervisor: the process that starts the workers, starts them again when they end, and passes signals on.

The supervisor serves no requests. It has no threads and no event loop, so that it can fork at any time; it waits for
signals, and the end of a worker is one (SIGCHLD). All workers accept from the listening sockets that it has bound: when
one worker is killed, the others take the connections that wait there. Each worker has a process group of its own, so
that Ctrl-C in a terminal reaches the supervisor alone. Each has one end of a pipe, which closes when the supervisor
dies; then the workers drain and end, too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct

from operate import handover, systemd
from operate.settings import changes
from operate.settings.file_watch import Source
from operate.settings.load import Settings, SettingsError
from operate.terminal import Terminal

TICK_S = 1.0
LOOK_S = 0.05  # between two looks for signals, on systems that cannot wait for one for a while
SOON_S = 0.1  # the tick while a process is starting
STEADY_S = 10.0  # a worker that ran for this long is started again at once
FIRST_S, MOST_S = 0.5, 30.0  # the first and the longest wait before another worker is started again
HOPELESS = 5  # when every worker has failed this often in a row, the supervisor gives up
KILLED = 130  # the exit code after a second signal

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2}


class Worker(NamedTuple):
    """What a worker gets from the supervisor. number: from 0 on. of: how many workers there are. secret: what workers
    authenticate themselves with to each other. lifeline: a file descriptor that is readable when the supervisor is
    gone. beats: a file descriptor to which the worker writes its number once a second while it serves. why: how the
    worker before it ended; "" for the first. restarts: how many there were before it."""

    number: int
    of: int
    secret: bytes
    lifeline: int
    beats: int
    why: str = ""
    restarts: int = 0


class _State(Struct):
    """The state of one worker and of those that replace it. pid: 0 = none runs, and the next one starts at `due`. beat:
    when its last sign of life came; 0 = none yet. Times are those of time.monotonic()."""

    pid: int = 0
    started: float = 0.0
    beat: float = 0.0
    due: float = 0.0
    failures: int = 0
    why: str = ""
    restarts: int = 0


class Supervisor:
    """Runs the workers; run() is called once. work: what a worker does in its own process; it returns the exit code."""

    def __init__(
        self,
        source: Source,
        chosen: Settings,
        sockets: Sequence[socket.socket],
        work: Callable[[Settings, Worker], int],
        address: str = "",
    ) -> None:
        """address: hosts and port; a successor takes the sockets over only if its own settings have the same."""
        self._source = source
        self._chosen = chosen
        self._sockets = sockets
        self._work = work
        self._states = [_State() for _ in range(chosen.server.workers)]
        self._secret = secrets.token_bytes(32)
        self._terminal = Terminal()
        self._stopping = False
        self._code = 0
        self._address = address
        self._successor: handover.Successor | None = None
        self._serves = False
        self._watchdog_s = systemd.watchdog_s()

    def __repr__(self) -> str:
        return f"<Supervisor of {[state.pid for state in self._states]}{', stopping' * self._stopping}>"

    def run(self) -> int:
        """Runs until the end, and returns the exit code."""
        self._lifeline, held = os.pipe()
        self._held = held
        self._beats, self._beaten = os.pipe()
        os.set_blocking(self._beats, False)
        os.set_blocking(self._beaten, False)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        return self._loop()

    def _loop(self) -> int:
        while True:
            self._start_due()
            number = _next_signal(self._until_next())
            if number == signal.SIGHUP and not self._terminal.gone():
                self._pass_on(signal.SIGHUP)
            elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if self._stopping and number != signal.SIGHUP:
                    self._pass_on(signal.SIGKILL)
                    return KILLED
                self._stop()
            elif number == signal.SIGUSR2:
                self._upgrade()
            self._listen()
            self._reap()
            if self._stopping and not any(state.pid for state in self._states):
                return self._code
            self._reread()

    # ----------------------------------------------------------------------------------- starting workers

    def _start_due(self) -> None:
        now = time.monotonic()
        for number, state in enumerate(self._states):
            if not state.pid and not self._stopping and state.due <= now:
                self._start(number, state)

    def _until_next(self) -> float:
        now = time.monotonic()
        tick = SOON_S if self._successor or not self._serves else TICK_S
        return max(0.0, min([tick, *(state.due - now for state in self._states if not state.pid)]))

    def _start(self, number: int, state: _State) -> None:
        state.started, state.beat = time.monotonic(), 0.0
        try:
            state.pid = os.fork()
        except OSError as why:  # no memory, or too many processes
            state.due = state.started + MOST_S
            _say(
                f"WARNING supervisor: worker {number} cannot be started: {why.strerror}; the next attempt is in "
                f"{MOST_S:g} s"
            )
            return
        if state.pid == 0:
            of, before = len(self._states), (state.why, state.restarts)
            self._become(Worker(number, of, self._secret, self._lifeline, self._beaten, *before))

    def _become(self, worker: Worker) -> None:
        """Runs the worker in the new process. It never returns, because the frames above belong to the supervisor."""
        code = 1
        try:
            os.setpgid(0, 0)
            os.close(self._held)
            os.close(self._beats)
            for number in (signal.SIGHUP, signal.SIGUSR2):  # until the worker installs its own handlers
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = self._work(self._chosen, worker)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    # ------------------------------------------------------------------------ signs of life, upgrades, settings

    def _listen(self) -> None:
        """Reads the workers' signs of life, and tells systemd and the process before this one."""
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._beats, 65536):
                self._states[number % len(self._states)].beat = time.monotonic()
        if not self._serves and not self._stopping and all(state.pid and state.beat for state in self._states):
            self._serves = True
            handover.serving()
        if self._watchdog_s:
            self._end_the_stuck()
            systemd.alive()
        if self._successor is not None:
            self._ask_successor(self._successor)

    def _end_the_stuck(self) -> None:
        """Ends each worker whose event loop no longer runs, so that another one is started in its place."""
        oldest = time.monotonic() - self._watchdog_s
        for number, state in enumerate(self._states):
            if state.pid and state.beat and state.beat < oldest and not self._stopping:
                _say(f"ERROR supervisor: worker {number} (process {state.pid}) gives no sign of life; it is killed")
                state.beat = 0.0
                os.kill(state.pid, signal.SIGKILL)

    def _upgrade(self) -> None:
        if self._stopping or self._successor is not None:
            return
        why = handover.why_not()
        if not why:
            try:
                self._successor = handover.Successor(self._sockets, self._address)
                return
            except OSError as error:
                why = str(error)
        _say(f"ERROR supervisor: the upgrade is not possible: {why}")

    def _ask_successor(self, successor: handover.Successor) -> None:
        why = successor.verdict()
        if why is None:
            return
        self._successor = None
        if why:
            _say(f"ERROR supervisor: the upgrade has failed: {why}")
        else:
            _say(f"supervisor: process {successor.pid} serves now; this one ends when its requests are finished")
            self._stop(signal.SIGUSR2)

    def _reread(self) -> None:
        """Reads changed settings, so that a worker that is started later begins with them."""
        if self._source.saved():
            with contextlib.suppress(SettingsError, OSError):  # the workers log the errors
                self._chosen = changes.followed(self._chosen, self._source.read())[0]

    # -------------------------------------------------------------------------------------- ended workers

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for number, state in enumerate(self._states):
                if state.pid == pid:
                    self._ended(number, state, os.waitstatus_to_exitcode(status))

    def _ended(self, number: int, state: _State, code: int) -> None:
        now = time.monotonic()
        pid, state.pid = state.pid, 0
        if self._stopping:
            if code not in (0, -signal.SIGTERM):  # SIGTERM itself ends a worker that has only just started
                self._code = 1
            return
        state.failures = 0 if code == 0 or now - state.started >= STEADY_S else state.failures + 1
        wait = min(MOST_S, FIRST_S * 2 ** (state.failures - 1)) if state.failures else 0.0
        state.due = now + wait
        how = f"was ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with code {code}"
        state.restarts += 1
        state.why = f"worker {number} (process {pid}) {how}; it is started again in {wait:g} s"
        _say(f"{'ERROR' if code else 'INFO'} supervisor: {state.why}")
        if all(each.failures >= HOPELESS for each in self._states):
            _say("ERROR supervisor: every worker fails soon after its start; the proxy ends")
            self._code = 1
            self._stop()

    def _stop(self, how: int = signal.SIGTERM) -> None:
        """Ends the workers. how: the signal that they get; SIGUSR2 = another process serves already."""
        if not self._stopping:
            self._stopping = True
            if how == signal.SIGTERM:
                systemd.stopping()
            self._pass_on(how)
            for each in self._sockets:
                each.close()  # the workers still accept the connections that wait, then close their own copies

    def _pass_on(self, number: int) -> None:
        for state in self._states:
            if state.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(state.pid, number)


def _say(line: str) -> None:
    """Writes a line to standard error, which may be a terminal that is gone."""
    with contextlib.suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _next_signal(seconds: float) -> int:
    """Waits for one of _SIGNALS, and returns its number; 0 = none came."""
    if hasattr(signal, "sigtimedwait"):
        got = signal.sigtimedwait(_SIGNALS, seconds)
        return got.si_signo if got is not None else 0
    until = time.monotonic() + seconds
    while not (come := signal.sigpending() & _SIGNALS):
        if (left := until - time.monotonic()) <= 0:
            return 0
        time.sleep(min(left, LOOK_S))  # noqa: TID251  # there is no loop in this process
    return signal.sigwait(come)
