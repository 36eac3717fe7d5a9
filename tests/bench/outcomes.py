"""Results of the methods on 400 rows of the demo, each a run as a user makes it.

    python -m tests.bench.outcomes OUT [--steps 100] [--rows 40] [--only NAME ...]

Each run's events are kept in OUT/NAME.jsonl, and a run that is there is not made again. Measured: the held-out loss, a
task's score (the last number, as GSM8K asks) before and after, forgetting by part, tokens a second, and what measuring
forgetting took beside what was predicted. Prints Markdown for RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backend.units import memory
from tests.bench.demo import Events, of

FORGETTING = "measure_forgetting=true"


class Case(NamedTuple):
    """One run: its method and what is set beside the settings that all have."""

    method: str
    settings: tuple[str, ...] = ()


CASES: Mapping[str, Case] = {
    "lora": Case("lora"),
    "full": Case("full"),
    "full-replay": Case("full", ("replay_fraction=0.1",)),
    "qlora": Case("qlora"),
}


def main() -> None:
    """Predict, train what is not there yet, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=100, help="of four rows each")
    parser.add_argument("--rows", type=int, default=24, help="held-out rows, whose answers are scored")
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    asked = parser.parse_args()
    os.environ["FTTUI_HOME"] = str(asked.out / "home")
    asked.out.mkdir(parents=True, exist_ok=True)
    common = settings(asked.steps, asked.rows)
    predicted = _kept(asked.out / "predicted.json", lambda: _predictions(common))
    found = {name: _events(name, asked.out, common) for name in asked.only}
    print(table(found), forgetting(found), cost(found, predicted), sep="\n\n")


def settings(steps: int, rows: int) -> tuple[str, ...]:
    """The settings of all runs: evaluated before and after, with `rows` of the demo's 480 held out."""
    return (
        f"max_steps={steps}",
        f"eval_every={steps}",
        f"eval_fraction={rows / 480 + 1e-4:.4f}",
        "task=number",
        f"task_rows={rows}",
        "task_tokens=128",
    )


def _events(name: str, out: Path, common: Sequence[str]) -> Events:
    path = out / f"{name}.jsonl"
    if not path.exists():
        case, draft = CASES[name], path.with_suffix(".draft")
        command = [sys.executable, "-m", "tui", "train", "demo", "--method", case.method, "--json"]
        with draft.open("wb") as file:
            flags = _flags(*common, FORGETTING, *case.settings)
            subprocess.run([*command, *flags], stdout=file, check=True)
        draft.rename(path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def _flags(*given: str) -> list[str]:
    return [part for setting in given for part in ("--set", setting)]


def _kept(path: Path, make: Any) -> Any:
    if not path.exists():
        path.write_text(json.dumps(make(), indent=1))
    return json.loads(path.read_text())


def _predictions(common: Sequence[str]) -> dict[str, Any]:
    """Per case, before any of them has run: the plan's figures with forgetting measured, and the hours without."""
    return {name: _prediction(case, common) for name, case in CASES.items()}


def _prediction(case: Case, common: Sequence[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tui", "plan", "--model", "demo", "--data", "demo", "--json"]
    own = ("effective_batch=4", *common, *case.settings)

    def plan(*more: str) -> dict[str, Any]:
        done = subprocess.run([*command, *_flags(*own, *more)], stdout=subprocess.PIPE, check=True)
        figures: dict[str, Any] = json.loads(done.stdout)["methods"][case.method]
        return figures

    return plan(FORGETTING) | {"hours_without": plan()["hours"]}


def table(found: Mapping[str, Events]) -> str:
    """Losses, scores and speed, a line a run."""
    head = (
        "| run | steps | held-out loss before | after | right before | right after | tokens/s | minutes |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    return "\n".join([head, *(_line(name, events) for name, events in found.items())])


def _line(name: str, events: Events) -> str:
    end, scores = next(of(events, "run_finished")), list(of(events, "task"))
    cells = (
        name,
        end["step"],
        f"{end['eval_loss_before']:.4f}",
        f"{end['eval_loss']:.4f}",
        _score(scores[0]),
        _score(scores[-1]),
        f"{end['tokens_per_second']:.0f}",
        f"{end['seconds'] / 60:.1f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _score(event: Mapping[str, Any]) -> str:
    right = round(event["score"] * event["rows"])
    return f"{right} of {event['rows']} ({100 * event['low']:.0f} to {100 * event['high']:.0f} %)"


def forgetting(found: Mapping[str, Events]) -> str:
    """The loss on general text of the base and of what was saved, by part."""
    head = "| run | part | examples | base | after | change | 95 % interval | KL |\n|---|---|--:|--:|--:|--:|--:|--:|"
    lines = [_part(name, x) for name, events in found.items() for x in of(events, "forgetting") if x["final"]]
    return "\n".join([head, *lines])


def _part(name: str, event: Mapping[str, Any]) -> str:
    low, high = event["low"], event["high"]
    between = "too few" if low is None else f"{100 * low:+.1f} to {100 * high:+.1f} %"
    cells = (
        name,
        event["part"],
        event["examples"],
        f"{event['base_loss']:.4f}",
        f"{event['loss']:.4f}",
        f"{100 * (event['loss'] / event['base_loss'] - 1):+.1f} %",
        between,
        f"{event['kl']:.4f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def cost(found: Mapping[str, Events], predicted: Mapping[str, Any]) -> str:
    """What measuring forgetting took, predicted and measured, and the peaks of the phases."""
    head = (
        "| run | forgetting predicted | measured | of the run predicted | measured | peak predicted | measured | "
        "in training | evaluating | forgetting | task |\n|---|" + "--:|" * 10
    )
    return "\n".join([head, *(_cost(name, events, predicted[name]) for name, events in found.items())])


def _cost(name: str, events: Events, said: Mapping[str, Any]) -> str:
    end, phases = next(of(events, "run_finished")), next(of(events, "measured"))["phases"]
    seconds, share = 3600 * (said["hours"] - said["hours_without"]), 1 - said["hours_without"] / said["hours"]
    own = phases["forgetting"]["seconds"]
    peaks = (phases.get(phase, {}).get("peak_bytes", 0) for phase in ("train", "eval", "forgetting", "task"))
    cells = (
        name,
        f"{seconds:.0f} s",
        f"{own:.0f} s",
        f"{100 * share:.0f} %",
        f"{100 * own / end['seconds']:.0f} %",
        *map(memory, (said["peak_bytes"], end["peak_bytes"], *peaks)),
    )
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
