"""The measure of what logs and the usage store cost counts the CPU time of a process, in all its threads."""

from __future__ import annotations

import os
import threading
import time

from tests.bench import observing
from tests.support.waiting import until


def test_the_time_of_all_threads_counts() -> None:
    def works() -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            sum(range(100))
        done.wait(5)

    done = threading.Event()
    before = observing.cpu_s(os.getpid())
    thread = threading.Thread(target=works)
    thread.start()
    try:
        until(lambda: observing.cpu_s(os.getpid()) - before >= 0.05)
    finally:
        done.set()
        thread.join()


def test_each_variant_has_settings_of_its_own() -> None:
    texts = [text.format(folder="x") for text in observing.VARIANTS.values()]
    assert len(set(texts)) == 4 and all("dir = x" in text for text in texts)
