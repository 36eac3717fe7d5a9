"""Every reader, given damaged files by the hundred thousand: `make fuzz`.

    python -m tests.faults.fuzz [--inputs 100000] [--seed 0] [--kept FOLDER] [READER ...]

Each input is a good file, or one of NASTY, or a kept input that ended badly before, with a few cuts, flips, repeats and
splices. A reader has a process of its own, whose memory is measured. An input that ends in anything but a result or a
sentence is written to `--kept`, by default tests/faults/kept/, and is tried first from then on. Prints a table as
Markdown; the exit code is 1 if anything ended badly.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.faults.bad_bytes import NASTY
from tests.faults.outside_files import OUTSIDE
from tests.faults.own_files import READERS, Reader

KEPT = Path(__file__).parent / "kept"
MEMORY = Path("/dev/shm")
"""For files in memory: writing them to a disk would take most of the time."""
SLOW_SECONDS = 5.0
PIECES = (
    *(b"9" * 5_000, b"\xff", b"\0", b"null", b"[" * 2_000, b"-1", b"1e400", b'"', b"\\ud800", b"{}", b"inf", b"\n"),
    *(b"0x" + b"f" * 99, b"18446744073709551616", b"NaN", b"\xe2\x80\xae", b"{{", b"%}", b"true", b"[]", b'":"', b"\r"),
)


class Found(NamedTuple):
    """What became of a reader's inputs."""

    inputs: int
    tracebacks: int
    slow: int
    slowest_seconds: float
    peak_bytes: int
    """Highest resident memory of its process."""
    seconds: float


def main() -> None:
    """Fuzz all readers, or those named; print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("readers", nargs="*")
    asked = parser.parse_args()
    print("| reader | inputs | tracebacks | over 5 s | slowest, ms | peak RSS, MiB | s |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    bad = 0
    for name, reader in (READERS | OUTSIDE).items():
        if not asked.readers or name in asked.readers:
            found = in_child(partial(fuzz, name, reader, asked.inputs, asked.seed, asked.kept))
            bad += found.tracebacks + found.slow
            print(
                f"| {name} | {found.inputs:,} | {found.tracebacks} | {found.slow} | {found.slowest_seconds * 1000:.0f} "
                f"| {found.peak_bytes >> 20} | {found.seconds:.0f} |",
                flush=True,
            )
    sys.exit(bad > 0)


def in_child(work: Callable[[], Found]) -> Found:
    """What `work` finds in a fork of this process, and in a home of its own."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home:
        out = Path(home) / "found.json"
        child = os.fork()
        if child == 0:
            os.environ["FTTUI_HOME"] = home
            out.write_bytes(msgspec.json.encode(work()))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not out.is_file():  # the reader has ended its process
            return Found(0, 1, 0, 0.0, 0, os.waitstatus_to_exitcode(status))
        return Found(*msgspec.json.decode(out.read_bytes()))


def fuzz(name: str, reader: Reader, count: int, seed: int, kept: Path) -> Found:
    """Give `reader` so many inputs."""
    file, good = reader.file(), reader.good()
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_bytes(good)
    with redirect_stdout(io.StringIO()):
        reader.reads()  # what it imports is not the input's time
    began, tracebacks, slow, slowest = time.monotonic(), 0, 0, 0.0
    stamp = time.time_ns()
    for content in inputs(name, good, count, random.Random(f"{seed} {name}"), kept):
        file.write_bytes(content)
        stamp += (
            1_000_000  # the system's own stamps are coarse: a reader that keeps what it read would pass over inputs
        )
        os.utime(file, ns=(stamp, stamp))
        start = time.monotonic()
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                reader.reads()
        except BaseException:  # noqa: BLE001 - whatever a reader raises is what is looked for
            tracebacks += 1
            keep(kept, name, content, traceback.format_exc())
        took = time.monotonic() - start
        slowest = max(slowest, took)
        if took > SLOW_SECONDS:
            slow += 1
            keep(kept, name, content, f"{took:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Found(count, tracebacks, slow, slowest, peak, time.monotonic() - began)


def inputs(name: str, good: bytes, count: int, draw: random.Random, kept: Path) -> Iterator[bytes]:
    """`count` inputs: first those that ended badly before, then changed ones."""
    known = [path.read_bytes() for path in sorted((kept / name).glob("*.bin"))]
    corpus = [good, *known, *NASTY.values()]
    yield from known[:count]
    for number in range(count - len(known[:count])):
        yield changed(good if number % 4 else draw.choice(corpus), corpus, draw)


def changed(content: bytes, corpus: list[bytes], draw: random.Random) -> bytes:
    """`content` with one to four changes."""
    made = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(made))
        match draw.randrange(6):
            case 0 if made:
                made[at % len(made)] ^= 1 << draw.randrange(8)
            case 1:
                del made[at : at + draw.choice((1, 2, 8, 64, 512))]
            case 2:
                made[at:at] = draw.choice(PIECES)
            case 3:
                made[at : at + draw.randint(0, 12)] = draw.choice(PIECES)
            case 4:
                made[at:at] = made[at : at + draw.choice((4, 16, 64))] * draw.choice((1, 2, 100))
            case _:
                other = draw.choice(corpus)
                start = draw.randint(0, len(other))
                made[at:at] = other[start : start + draw.choice((8, 64, 256))]
    return bytes(made)


def keep(kept: Path, name: str, content: bytes, why: str) -> None:
    """Keep an input that ended badly, and how."""
    folder = kept / name
    folder.mkdir(parents=True, exist_ok=True)
    stem = hashlib.sha256(content).hexdigest()[:12]
    (folder / f"{stem}.bin").write_bytes(content)
    (folder / f"{stem}.txt").write_text(why)


if __name__ == "__main__":
    main()
