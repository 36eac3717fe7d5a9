"""Several processes at once, each a new Python: a fork would inherit the locks that the test's threads hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

SECONDS = 60
_READY = "print('ready', flush=True); input()"


def run(imports: str, code: str, arguments: Sequence[Sequence[str]]) -> None:
    """Run `code` at the same moment in a process for each of `arguments` (its `sys.argv[1:]`), after its `imports`.

    Each process must end well within a minute.
    """
    command = (sys.executable, "-c", f"import sys\n{imports}\n{_READY}\n{code}")
    pipe = subprocess.PIPE
    processes = [subprocess.Popen([*command, *words], stdin=pipe, stdout=pipe, text=True) for words in arguments]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.close()
        assert [process.wait(SECONDS) for process in processes] == [0] * len(processes)
    finally:
        for process in processes:
            process.kill()
