"""Two "boxes" of one run, as network namespaces with a switch between them, whose cable is pulled and put back.

    python -m tests.bench.nodes

Needs root and `ip` (iproute2). Each box runs what `fttui launch --on torchrun` writes for several boxes; the ranks meet
by torch elastic's c10d rendezvous. The table says what the user saw, after how long, and what was trained again. Exit
status 1 if a run does not end well, if more is lost than since the last checkpoint, or if a process is left.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from backend.run.folder import RunFolder
from tests import events_on_disk
from tests.backend.training.helpers import losses, new_run
from tests.bench import made
from tests.tiny import make_model

ROOT = Path(__file__).resolve().parents[2]
SWITCH, BOXES = "fttui-switch", ("fttui-a", "fttui-b")
EVERY, STEPS, CUT_AT = 20, 100, 30
CUTS = (0, 5, 45)
"""Seconds that the cable is out."""
PATIENCE_SECONDS = 400


def main() -> None:
    """Print a table."""
    print("| case | said | seconds until said | end | steps trained again | largest difference of a loss | left |")
    print("|---|---|--:|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as home, _network():
        os.environ["FTTUI_HOME"] = home
        model, rows = make_model(Path(home) / "model"), made.rows(Path(home) / "rows.jsonl", 40)
        whole: dict[int, float] = {}
        good = []
        for seconds in CUTS:
            folder = new_run(
                model, rows, "lora", processes=2, max_steps=STEPS, epochs=100.0, save_every=EVERY, eval_fraction=0.0
            )
            label = f"the cable out for {seconds} s" if seconds else "undisturbed"
            good.append(_case(label, folder, seconds, whole))
            whole = whole or losses(folder)
    sys.exit(not all(good))


def _case(label: str, folder: RunFolder, seconds: int, whole: dict[int, float]) -> bool:
    boxes = [_started(folder, box) for box in BOXES]
    said, after = "", 0.0
    if seconds:
        _wait_for_step(folder, CUT_AT)
        _cable("down")
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if not said and (warned := _warnings(folder)):
                said, after = warned[0], time.monotonic() - began
            time.sleep(0.2)
        _cable("up")
    codes = _ended(boxes)
    left = [x for x in psutil.process_iter(["cmdline"]) if str(folder.path) in (x.info["cmdline"] or ())]
    again = len(events_on_disk.read(folder.events_file, "step")) - len(losses(folder))
    found = losses(folder)
    apart = max((abs(found[step] - whole[step]) / whole[step] for step in whole if step in found), default=0.0)
    print(f"| {label} | {said} | {after:.1f} | {codes} | {again} | {apart:.0e} | {len(left)} |", flush=True)
    if codes != [0, 0]:
        for file in (folder.log_file, *(folder.path / f"{box}.txt" for box in BOXES)):
            print(f"{file.name}:\n{file.read_text(encoding='utf-8', errors='replace')[-3000:]}", file=sys.stderr)
    for one in left:
        one.kill()
    return codes == [0, 0] and again <= EVERY + 1 and apart < 1e-5 and len(found) == STEPS and not left


def _started(folder: RunFolder, box: str) -> subprocess.Popen[bytes]:
    words = ["--nodes", "2", "--per-node", "1", "--endpoint", "10.77.0.1:29477"]
    return subprocess.Popen(
        ["ip", "netns", "exec", box, sys.executable, "-m", "backend.launch.node", str(folder.path), *words],
        cwd=ROOT,
        stdout=(folder.path / f"{box}.txt").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _ended(boxes: list[subprocess.Popen[bytes]]) -> list[int]:
    until = time.monotonic() + PATIENCE_SECONDS
    codes = []
    for one in boxes:
        try:
            codes.append(one.wait(max(1.0, until - time.monotonic())))
        except subprocess.TimeoutExpired:
            for child in psutil.Process(one.pid).children(recursive=True):
                child.kill()
            one.kill()
            codes.append(one.wait())
    return codes


def _wait_for_step(folder: RunFolder, step: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not any(event["step"] >= step for event in events_on_disk.read(folder.events_file, "step")):
        assert time.monotonic() < until, folder.log_file.read_text()[-2000:]
        time.sleep(0.1)


def _warnings(folder: RunFolder) -> list[str]:
    said = events_on_disk.read(folder.events_file, "log")
    return [event["text"] for event in said if event["level"] == "warning" and "lost" in event["text"]]


@contextmanager
def _network() -> Iterator[None]:
    """Two boxes, 10.77.0.1 and 10.77.0.2, each with a cable to a switch."""
    for name in (SWITCH, *BOXES):
        _ip("netns", "add", name)
    try:
        _ip("-n", SWITCH, "link", "add", "switch0", "type", "bridge")
        _ip("-n", SWITCH, "link", "set", "switch0", "up")
        for number, box in enumerate(BOXES, 1):
            _ip("-n", SWITCH, "link", "add", box, "type", "veth", "peer", "name", "eth7", "netns", box)
            _ip("-n", SWITCH, "link", "set", box, "master", "switch0", "up")
            _ip("-n", box, "link", "set", "lo", "up")
            _ip("-n", box, "address", "add", f"10.77.0.{number}/24", "dev", "eth7")
            _ip("-n", box, "link", "set", "eth7", "up")
        yield
    finally:
        for name in (SWITCH, *BOXES):
            _ip("netns", "delete", name)


def _cable(state: str) -> None:
    """The second box's, at the switch."""
    _ip("-n", SWITCH, "link", "set", BOXES[1], state)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    main()
