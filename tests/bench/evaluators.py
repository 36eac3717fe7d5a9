"""The command lines for lm-eval and lighteval, read by their own parsers: `python -m tests.bench.evaluators PYTHON`.

The python has both (lm-eval 0.4.13, lighteval 0.13) and typer, colorlog, aenum, pytablewriter, langcodes and
latex2sympy2_extended in an environment of its own. Each line must be read back whole, and a misspelt one be refused.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.backend.export.test_evaluators import CASES, lines

SCRIPT = Path(__file__).with_name("evaluator_args.py")


def main() -> None:
    """Print what each evaluator understood."""
    for case in CASES:
        for name, line in lines(case).items():
            words = shlex.split(line.rpartition("&& ")[2])
            print(f"{case}, {name}: {_read(words)}; with a misspelt key {_read(list(_misspelt(words)))}")


def _misspelt(words: list[str]) -> Iterator[str]:
    for word in words:
        yield word.replace("model_name=", "model_nam=").replace("--tasks", "--taskss")


def _read(words: list[str]) -> str:
    done = subprocess.run([sys.argv[1], "-P", str(SCRIPT), *words], capture_output=True, text=True, check=False)
    return f"accepted {done.stdout.splitlines()[-1]}" if done.returncode == 0 else "refused"


if __name__ == "__main__":
    main()
