"""How a busy neighbour slows waiting threads: many small products alone, beside a busy process, beside a second copy.

    python -m tests.bench.neighbour [--rounds 5] [--seconds 2] [--threads N]

libgomp's threads spin before they sleep. Each setting of `GOMP_SPINCOUNT` (and libgomp's own, and `passive`) runs the
same loop in a process of its own, the settings in turn: 100 products a turn, as small as those of the demo model on a
short row. Beside them runs nothing, one process that computes without a pause, or the same loop again. Prints Markdown
for RESULTS.md. Alone on a quiet machine it shows the cost of sleeping, beside others the cost of spinning.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict

SETTINGS: dict[str, dict[str, str]] = {
    "libgomp's own": {},
    "spin 100,000": {"GOMP_SPINCOUNT": "100000"},
    "spin 10,000": {"GOMP_SPINCOUNT": "10000"},
    "spin 1,000": {"GOMP_SPINCOUNT": "1000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
BESIDE = ("nothing", "a busy process", "itself")
BUSY = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end: pass
"""
"""Ends by itself if this bench is killed."""
LOOP = """
import sys, time, torch
x, w = torch.ones(128, 576), torch.ones(576, 576)
def turn():
    y = x
    for _ in range(100):
        y = torch.tanh(y @ w)
turn()
end, times = time.perf_counter() + float(sys.argv[1]), []
while time.perf_counter() < end:
    start = time.perf_counter()
    turn()
    times.append(time.perf_counter() - start)
print(sorted(times)[len(times) // 2] * 1000)
"""


def main() -> None:
    """All settings in turn, as a table."""
    options = _options()
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for beside in options.beside:
            for name in SETTINGS:
                found[name, beside].append(_milliseconds(SETTINGS[name], beside, options))
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {options.rounds} rounds; ms for 100 small products\n")
    print(f"| threads wait | {' | '.join(f'beside {x}' for x in options.beside)} |")
    print(f"|---|{'--:|' * len(options.beside)}")
    for name in SETTINGS:
        cells = (f"{statistics.median(found[name, x]):.0f} ({min(found[name, x]):.0f})" for x in options.beside)
        print(f"| {name} | {' | '.join(cells)} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--beside", nargs="*", default=BESIDE, choices=BESIDE)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def _milliseconds(setting: dict[str, str], beside: str, options: argparse.Namespace) -> float:
    """Median milliseconds of a turn under one setting."""
    kept = {name: x for name, x in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment = {**kept, **setting, "OMP_NUM_THREADS": str(options.threads)}
    loop = [sys.executable, "-c", LOOP, str(options.seconds)]
    others: list[subprocess.Popen[bytes]] = []
    if beside != "nothing":
        longer = str(options.seconds + 15)
        command = [sys.executable, "-c", BUSY if beside == "a busy process" else LOOP, longer]
        others.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        time.sleep(0.1 if beside == "a busy process" else 3)
    try:
        return float(subprocess.run(loop, env=environment, check=True, capture_output=True).stdout)
    finally:
        for other in others:
            other.kill()
            other.wait()


if __name__ == "__main__":
    main()
