"""In a process of its own, since it changes how the process allocates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM = """
import resource, sys, threading
from backend.training.allocator import keep_pages
if sys.argv[1] == "kept":
    assert keep_pages()
assert "torch" not in sys.modules
def work():
    for _ in range(20):
        bytearray(80_000_000)[::4096]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_big_blocks_of_a_thread_are_not_faulted_in_again() -> None:
    def faults(how: str) -> int:
        command = [sys.executable, "-c", PROGRAM, how]
        return int(subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout)

    assert faults("kept") < faults("as it is") / 4
