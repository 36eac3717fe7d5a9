"""The table of runs: what a run's two lines say, how runs are filtered and sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from backend import units
from backend.run.summary import Summary
from tui.plain import plain
from tui.theme import METHOD_NAMES
from tui.widgets.cells import cut, cut_middle

COLUMNS = ("run", "state", "held-out loss", "peak", "time")
_SIGNS = {
    "running": ("▶", "primary"),
    "done": ("✓", "success"),
    "failed": ("✗", "error"),
    "interrupted": ("!", "warning"),
    "stopped": ("■", "warning"),
    "paused": ("‖", "warning"),
    "queued": ("○", "foreground"),
    "damaged": ("✗", "error"),
}
"""State -> sign and the theme's colour for it."""
_KEYS: Mapping[str, Callable[[Summary], object]] = {
    "run": lambda run: run.name,
    "state": lambda run: run.state,
    "held-out loss": lambda run: run.loss,
    "peak": lambda run: run.peak_bytes,
    "time": lambda run: run.hours,
}
MARK = "●"


def chosen(runs: Iterable[Summary], typed: str, column: str, backwards: bool) -> list[Summary]:
    """Runs that match every word of `typed`, sorted by `column`; those without that figure come last."""
    words = typed.lower().split()
    kept = [run for run in runs if all(word in _text(run) for word in words)]
    key = _KEYS[column]
    known = [(figure, run) for run in kept if (figure := key(run)) is not None]
    known.sort(key=itemgetter(0), reverse=backwards)
    return [run for _, run in known] + [run for run in kept if key(run) is None]


def row(run: Summary, width: int, colours: Mapping[str, str], *, marked: bool) -> tuple[Text, ...]:
    """Two lines a run: what was measured, and under it what was predicted; `width` cells for the name."""
    sign, colour = _SIGNS.get(run.state, ("?", "foreground"))
    losses = [f"{x:.3f}" for x in (run.loss_before, run.loss) if x is not None]
    steps = f"{run.step:,} of {run.total_steps:,}" if run.total_steps else ""
    state = plain(run.state, lines=False)
    name = cut_middle(plain(run.name, lines=False), width)
    return (
        _lines(name, _fitting_about(run, width)),
        Text.assemble(
            (f"{sign} {state}", colours.get(colour, "").removeprefix("ansi_")),
            (f"\n{MARK if marked else ' '}", "bold"),
            (f" {steps}", "dim"),
        ),
        _lines(" → ".join(losses), "predicted".rjust(13) if run.predicted_peak_bytes else ""),
        _lines(_figure(run.peak_bytes, units.memory), _figure(run.predicted_peak_bytes, units.memory)),
        _lines(_figure(_seconds(run.hours), units.duration), _figure(_seconds(run.predicted_hours), units.duration)),
    )


def details(run: Summary) -> list[str]:
    """What the two lines have no room for, a sentence each."""
    figures = (
        _beside("speed", run.tokens_per_second, run.predicted_tokens_per_second, lambda x: f"{units.rate(x)} tokens/s"),
        _beside("cost", run.cost_usd, run.predicted_cost_usd, units.usd),
        f"the weights of step {run.result_step:,} were saved" if run.result_step else "",
    )
    said = (" · ".join(x for x in figures if x), run.ended_early, run.task, run.forgetting, run.note)
    return [plain(text, lines=False) for text in said if text]


def _beside(label: str, measured: float | None, predicted: float | None, words: units.Words) -> str:
    parts = [words(measured)] if measured is not None else []
    parts += [f"predicted {words(predicted)}"] if predicted is not None else []
    return f"{label} {', '.join(parts)}" if parts else ""


def _about(run: Summary) -> str:
    about = f"{METHOD_NAMES.get(run.method, run.method)} of {run.model} on {run.data}" if run.model else ""
    return f"{run.note} · {about}" if run.note else about


def _fitting_about(run: Summary, width: int) -> str:
    """Where paths have no room, the names at their ends say more than their beginnings."""
    whole = plain(_about(run), lines=False)
    if cell_len(whole) <= width:
        return whole
    short = replace(run, model=Path(run.model).name, data=Path(run.data).name)
    return cut(plain(_about(short), lines=False), width)


def _text(run: Summary) -> str:
    return f"{run.name} {run.state} {_about(run)}".lower()


def _lines(first: str, second: str) -> Text:
    return Text.assemble(first, (f"\n{second}", "dim"))


def _seconds(hours: float | None) -> float | None:
    return hours * 3600 if hours is not None else None


def _figure(value: float | None, words: units.Words) -> str:
    return words(value) if value is not None else ""
