"""The questions of tests/bench/gpu.py in an emulated box, where no kernel computes: values are not looked at."""

from __future__ import annotations

import json
import sys

from backend.training import allocator
from tests.bench import gpu_parts
from tests.emulated import child

if __name__ == "__main__":
    allocator.settle()
    child.blind()
    print(json.dumps(getattr(gpu_parts, sys.argv[1])(*sys.argv[2:]), default=str))
