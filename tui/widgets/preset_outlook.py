"""What each preset would take on this box: looked up in a worker, and said in a few words and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from backend import paths, units
from backend.errors import UserError
from tui.journey import Journey
from tui.plain import plain, safe
from tui.theme import METHOD_NAMES
from tui.widgets import figures

if TYPE_CHECKING:
    from backend.answers import Answers
    from backend.data.report import DataReport
    from backend.model.info import ModelInfo
    from backend.plan.preset import Preset
    from backend.planner.device import Device
    from backend.planner.outlook import Outlook

ROWS, ROW_TOKENS = 1000, 512
"""The data that is assumed if there is none."""
_FIT, _TIME = 10, 11
"""Cells of the verdict and of the time, so that a list of them is in columns."""


@dataclass(frozen=True)
class Known:
    """What the wizard knows when the presets are opened: a worker must not read what changes meanwhile."""

    answers: Answers
    device: Device | None
    model: ModelInfo | None
    data: DataReport | None

    @classmethod
    def of(cls, journey: Journey) -> Known:
        """What `journey` knows now."""
        return cls(journey.answers, journey.device, journey.model, journey.data)


def look(journey: Journey, known: Known, preset: Preset) -> Outlook:
    """What `preset` would take. The hub is not asked. Raises UserError for what can't be planned or is not here."""
    started = Journey(journey.sources, known.answers)
    started.start_from(preset)
    sources, answers = journey.sources, started.answers
    device = sources.spread(sources.named(answers.gpu), answers) if answers.gpu else known.device
    device = device or sources.here(sources.detect())
    model = _model(known, answers, journey)
    return sources.outlook(preset, answers, device, model, _data(known, answers, model, started))


def _model(known: Known, answers: Answers, journey: Journey) -> ModelInfo:
    if known.model is not None and answers.model in ("", known.model.reference):
        return known.model
    found = journey.sources.model_here(answers.model or "demo")
    if found is None:
        raise UserError(f"{answers.model} is not on this box", "model")
    return found


def _data(known: Known, answers: Answers, model: ModelInfo, journey: Journey) -> DataReport:
    sources, data = journey.sources, answers.data
    if known.data is not None and data in ("", known.data.reference):
        return known.data
    if data == "demo" or (data and paths.expanded(data).exists()):
        return sources.inspect_data(data, answers.mapping, model, sources.read_by(answers, journey.start))
    return sources.predict_data(answers.rows or ROWS, answers.row_tokens or ROW_TOKENS)


def in_short(outlook: Outlook) -> str:
    """`✓ fits    12 m 00 s`."""
    fit = figures.fit_word(outlook.seen).plain
    return f"{fit:<{_FIT}}{figures.hours(outlook.seen.hours.point):>{_TIME}}"


def sentence(outlook: Outlook) -> Content:
    """Where, which method, whether it fits, its memory, time and cost, and for which model and data."""
    from backend.planner import fit

    seen, device = outlook.seen, outlook.device
    where = "On this box" if device.here else f"On {device.label}"
    parts = [figures.of_room(seen.memory.peak_bytes, fit.available(device)), figures.hours(seen.hours.point)]
    parts += [figures.cost(seen.cost_usd)] if seen.cost_usd is not None else []
    rows = units.counted(outlook.rows, "row")
    what = f"the {rows} of {outlook.data}" if outlook.data else f"{rows}, as no data is chosen yet"
    return Content.assemble(
        (f"{plain(where, lines=False)}: ", "$faint"),
        (f"{METHOD_NAMES[outlook.method]} ", "bold"),
        figures.fit_word(seen),
        f", {', '.join(parts)}",
        safe(f"; with {outlook.model} and {what}.", lines=False, style="$faint"),
    )
