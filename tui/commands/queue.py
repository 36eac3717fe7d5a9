"""`fttui queue`: runs that wait for a GPU of this box."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from backend import presets
from backend.answers import Answers, Method
from backend.launch.queue import waiting, worker
from backend.planner import jobs, situation
from backend.run.folder import RunFolder
from tui import starting
from tui.commands import train
from tui.commands.options import Shared
from tui.plain import plain

HELP = """Runs that wait for a GPU of this box. The next one starts when a GPU has been free of others for a minute.
A run on the CPU waits until no other run trains here.

The queue goes on when you log out. A reboot stops it: `fttui queue start` then goes on with it.

For example:

    fttui queue add --model ./my-model --data rows.jsonl --method qlora
    fttui queue list
    fttui queue move 3 1
    fttui queue rm 20261124-101500-my-model-qlora
"""
REBOOT = "A reboot stops the queue: `fttui queue start` then goes on with it."
Flag = Annotated[bool, Parameter(negative=())]

app = App(name="queue", help=HELP, help_format="plaintext")


@app.command
def add(
    preset: str | None = None,
    *,
    method: Method | None = None,
    answers: Shared = Answers(),  # noqa: B008  (a frozen dataclass)
    anyway: Flag = False,
) -> int:
    """Put a run at the end of the queue: a preset or options, as `fttui train` takes them.

    Args:
        preset: A preset's name or file; options override it.
        method: lora, qlora or full; by default the preset's, or the recommended one.
        anyway: Even if it is predicted not to fit what is free now, or to cost more than the budget.
    """
    start_from = presets.load(preset) if preset is not None else None
    if start_from:
        answers = presets.merged(start_from, answers)
    wanted = train.method_of(method, answers, start_from)
    comparison = situation.predict(answers, start_from)
    starting.refuse(comparison)
    taken = train.chosen(comparison, wanted, anyway)
    folder = RunFolder.create(jobs.job(comparison, taken, start_from.name if start_from else None))
    place = waiting.add(folder)
    worker.start()
    print(plain(f"run {folder.name} is number {place} in the queue. {REBOOT}", lines=False))
    return 0


@app.default
@app.command(name="list")
def list_queue() -> int:
    """List the waiting runs, the next one first."""
    known = waiting.names()
    for place, name in enumerate(known, 1):
        print(plain(f"{place}  {name}", lines=False))
    if not known:
        print("the queue is empty; `fttui queue add` takes what `fttui train` takes")
    elif not worker.is_working():
        print("no worker starts them (the box was rebooted, or the worker was ended); run `fttui queue start`")
    return 0


@app.command
def move(run: str, place: int) -> int:
    """Move a waiting run to another place.

    Args:
        run: Its place, its name or a part of it.
        place: From 1, which is the next to start.
    """
    waiting.move(run, place)
    return list_queue()


@app.command(name=("rm", "remove"))
def remove(run: str) -> int:
    """Take a run out of the queue; its folder stays, `fttui resume` starts it.

    Args:
        run: Its place, its name or a part of it.
    """
    name = waiting.remove(run)
    print(plain(f"run {name} is no longer in the queue; `fttui resume {name}` starts it", lines=False))
    return 0


@app.command
def start() -> int:
    """Go on with the queue after a reboot."""
    worker.start()
    return list_queue()
