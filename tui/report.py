"""A run's result as files in its folder: `report.md`, and `report.svg`, a picture of the screen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from textual.app import App

from backend import units
from backend.errors import UserError
from backend.launch.queue import waiting
from backend.plan import fields
from backend.run import forgetting, tasks
from backend.run.events import ForgettingMeasured
from backend.run.folder import RunFolder
from backend.run.history import History
from tui.panels.next_step import NextStep
from tui.panels.outcome import Figure, figures, phases
from tui.panels.samples import NOTHING, before_and_after, prompts
from tui.plain import plain

PICTURE = "report.svg"


def save(folder: RunFolder, past: History, title: str, step: NextStep, app: App[Any]) -> Path:
    """Write both files into the run's folder; returns the Markdown's path. Raises UserError if that fails."""
    target = folder.path / "report.md"
    try:
        (folder.path / PICTURE).write_text(svg(app, title), encoding="utf-8")
        target.write_text("\n".join(markdown(folder, past, title, step)) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"the report can't be written to {folder.path}: {error.strerror}") from None
    return target


def svg(app: App[Any], title: str) -> str:
    """The screen as SVG. `xml:space` keeps leading spaces in renderers that would drop them."""
    return re.sub(r"<text ", '<text xml:space="preserve" ', app.export_screenshot(title=plain(title, lines=False)))


def markdown(folder: RunFolder, past: History, title: str, step: NextStep) -> Iterator[str]:
    """The report, line by line."""
    yield from (
        f"# {_inline(title)}: {_inline(waiting.state_of(folder, past))}",
        "",
        f"Run {_code(folder.name)}, {_steps(past)}.",
        "",
    )
    yield from (f"![The result screen: curve, predicted and measured, samples]({PICTURE})", "")
    peaks = (replace(x, name=f"peak, {x.name}") for x in phases(past))
    yield from _table(("", "predicted", "measured", "error"), (_figure(x) for x in (*figures(past), *peaks)))
    if past.evaluations:
        yield from ("## Held-out loss", "")
        yield from _table(("step", "loss"), ((f"{x.step:,}", f"{x.loss:.4f}") for x in past.evaluations))
    if past.finished and past.finished.saved_earlier_step:
        yield from (f"Saved are the weights of step {past.result_step:,}, where the held-out loss was lowest.", "")
    if past.finished and past.finished.reason:
        yield from (_inline(past.finished.reason[:1].upper() + past.finished.reason[1:]) + ".", "")
    yield from _forgetting(past)
    if past.tasks:
        yield from ("## Task", "", _inline(tasks.change(past.tasks)), "")
    yield from _samples(past)
    yield from _elsewhere(folder, past)
    yield from ("## " + step.title, "", *_block(step.to_copy))
    yield from _settings(folder)


def _steps(past: History) -> str:
    return f"step {past.step:,} of {past.total_steps:,}" if past.total_steps else "before its first step"


def _figure(figure: Figure) -> tuple[str, ...]:
    error = f"{figure.error * 100:+.0f} %" if figure.error is not None else "-"
    return (figure.name, *figure.words(), error)


def _elsewhere(folder: RunFolder, past: History) -> Iterator[str]:
    """How to evaluate what was saved with other programs."""
    from backend.export import evaluators
    from backend.export.source import ExportSource

    try:
        source = ExportSource(folder, folder.job(), past)
    except UserError:
        return
    saved = past.finished.result if past.finished else None
    for name, command in evaluators.commands(source, Path(saved)).items() if saved else ():
        yield from (f"## Evaluate it with {name}", "", *_block(command))


def _forgetting(past: History) -> Iterator[str]:
    measured = forgetting.latest(past.forgetting)
    if not measured:
        return
    yield from ("## Forgetting of general text", "", _inline(forgetting.sentence(measured)), "")
    head = ("part", "base loss", "loss", "change", "95 % interval", "KL", "tokens")
    yield from _table(head, (_forgotten(event) for event in measured))


def _forgotten(event: ForgettingMeasured) -> tuple[str, ...]:
    change = forgetting.change(event)
    known = event.low is not None and event.high is not None
    return (
        event.part,
        *("-" if x is None else f"{x:.4f}" for x in (event.base_loss, event.loss)),
        "-" if change is None else f"{100 * change:+.1f} %",
        f"{100 * (event.low or 0):+.1f} to {100 * (event.high or 0):+.1f} %" if known else forgetting.INSUFFICIENT,
        "-" if event.kl is None else f"{event.kl:.4f}",
        f"{event.tokens:,}",
    )


def _samples(past: History) -> Iterator[str]:
    for number, prompt in enumerate(prompts(past), 1):
        first, last = before_and_after(past, prompt)
        yield from (f"## Question {number}", "", *_block(prompt), f"Step {first.step:,}:", "")
        yield from _block(first.text or NOTHING)
        if last is not first:
            yield from (f"Step {last.step:,}:", "", *_block(last.text or NOTHING))


def _settings(folder: RunFolder) -> Iterator[str]:
    try:
        job = folder.job()
    except UserError:
        return
    inputs = [("model", job.model), ("data", job.data), ("device", job.device_name)]
    if job.predicted and job.predicted.price_usd_per_hour is not None:
        inputs.append(("price", f"{units.usd(job.predicted.price_usd_per_hour)} an hour"))
    yield from ("## Settings", "")
    plan = ((name, fields.text(value)) for name, value in asdict(job.plan).items())
    yield from _table(("setting", "value"), (*inputs, *plan))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(map(_inline, row)) + " |"
    yield ""


def _block(text: str) -> list[str]:
    """Outside text as an indented block: nothing in it is markup, whatever it holds."""
    return [*(f"    {line}" for line in plain(text).split("\n")), ""]


def _inline(text: str) -> str:
    """Outside text within a line: it can make no markup, entity, formula, link or table cell."""
    escaped = re.sub(r"([\\`*_\[\]<>|#!&~$])", r"\\\1", plain(text, lines=False))
    return re.sub(r"(?i)(://|www\.)", lambda found: found[0].replace(":", "\\:").replace(".", "\\."), escaped)


def _code(text: str) -> str:
    """Outside text as code within a line; if it holds backticks, as `_inline` writes it."""
    return _inline(text) if "`" in text else f"`{plain(text, lines=False)}`"
