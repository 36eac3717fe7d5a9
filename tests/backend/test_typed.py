"""Several threads use a type for the first time, all at once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, threading
from dataclasses import field, make_dataclass
from backend import typed

sys.setswitchinterval(1e-6)
for n in range(60):
    space = {"__module__": __name__}
    numbers = [(f"f{i}", "int | None", field(default=0)) for i in range(30)]
    globals()[f"Inner{n}"] = make_dataclass(f"Inner{n}", numbers, namespace=space)
    outer = make_dataclass(f"Outer{n}", [("a", f"Inner{n}"), *numbers], namespace=space)
    gate, found = threading.Barrier(4), []

    def meet():
        gate.wait()
        found.append(typed.convert({"a": {"f1": 3}}, outer).a.f1)

    threads = [threading.Thread(target=meet) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == [3, 3, 3, 3]
"""


def test_the_process_lives() -> None:
    """With msgspec's own `convert` it died (status -11) in three of three tries."""
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, cwd=ROOT, timeout=60)


def test_nobody_asks_msgspec_for_a_type_beside_it() -> None:
    asking = re.compile(r"msgspec\.(convert\(|\w+\.decode\([^\n]*type=)")
    files = [path for folder in ("backend", "tui") for path in (ROOT / folder).rglob("*.py")]
    found = [str(path.relative_to(ROOT)) for path in files if asking.search(path.read_text(encoding="utf-8"))]
    assert sorted(found) == ["backend/typed.py"]
