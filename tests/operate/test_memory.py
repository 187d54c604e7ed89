"""What large blocks took goes back to the kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

WORK = """
import sys, threading
from operate import memory
if "fixed" in sys.argv:
    memory.give_back_large_blocks()

def rss_mb():
    return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) / 1024

def work():
    for size in (15, 31, 44, 15, 31):
        grown = bytearray()
        while len(grown) < size << 20:
            grown += b"x" * (1 << 18)
        made = [bytes(grown), bytes(grown[: len(grown) // 2])]
        del grown, made

before = rss_mb()
for _ in range(2):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(rss_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_large_blocks_took_goes_back() -> None:
    said = subprocess.run([sys.executable, "-c", WORK, "fixed"], capture_output=True, text=True, check=True, timeout=60)
    assert float(said.stdout) < 10, said.stdout
