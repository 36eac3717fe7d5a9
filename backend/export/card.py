"""The model card: where a model comes from, how it was trained, its losses, and what the base's licence asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from backend import paths, units
from backend.export import curve, licence
from backend.export.source import ExportSource
from backend.model import demo
from backend.plan import fields
from backend.planner import rules
from backend.run import forgetting, tasks
from backend.run.history import History

FILE = "README.md"
_LORA = (*("rank", "alpha", "dropout", "target_modules", "use_dora", "use_rslora", "modules_to_save", "quantization"),)
_TRAINING = (
    *("learning_rate", "schedule", "warmup_fraction", "weight_decay", "max_grad_norm", "optimizer"),
    *("epochs", "effective_batch", "max_length", "packing", "precision", "seed"),
)


def markdown(source: ExportSource, checked: str) -> str:
    """The card's text; `checked` says how the merge was checked, empty for nothing to say."""
    return "\n".join(_lines(source, checked)) + "\n"


def _lines(source: ExportSource, checked: str) -> Iterator[str]:
    base, method = _base(source), rules.title(source.job.plan.method)
    yield from ("---", *_head(source), "---", "")
    yield from (f"# {_inline(base)}, fine-tuned", "")
    by = method if source.is_adapter else "full fine-tuning"
    yield f"{_inline(base)}, fine-tuned with fttui by {by} on {_inline(_data(source))}."
    if source.is_adapter:
        yield "The adapter is merged into the base's own weights, not into 4-bit ones."
    yield from ("", *([checked, ""] if checked else []))
    yield from ("## Training", "", "| setting | value |", "|---|---|")
    plan = source.plan
    objective = () if plan.objective == "sft" else ("objective", "preference_beta")
    for name in (*(_LORA if source.is_adapter else ("weights_dtype",)), *objective, *_TRAINING):
        yield f"| {name} | {_inline(fields.text(getattr(plan, name)))} |"
    yield from (f"| {name} | {_inline(value)} |" for name, value in _facts(source))
    yield from ("", "## Loss", "", *_losses(source))
    yield from ("", "## Licence", "", *_licence(source))


def _head(source: ExportSource) -> Iterator[str]:
    """The hub's front matter; JSON strings are YAML ones too."""
    hub_id = demo.HUB_ID if source.job.model == "demo" else source.job.hub_id
    if hub_id:
        yield f"base_model: {json.dumps(hub_id)}"
        yield "base_model_relation: finetune"
    if name := licence.name_of(source):
        terms = licence.terms(name)
        yield f"license: {terms.hub if terms else 'other'}"
        if terms is None or terms.hub == "other":
            yield f"license_name: {json.dumps(name)}"
    yield from (
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags:",
        "- fttui",
        f"- {source.plan.objective}",
    )


def _facts(source: ExportSource) -> Iterator[tuple[str, str]]:
    past = source.past
    if past.total_steps:
        yield "steps", f"{past.step:,} of {past.total_steps:,}"
    if past.started.train_rows is not None:
        yield "training rows", f"{past.started.train_rows:,}"
    if past.finished and past.finished.tokens is not None:
        yield "tokens trained on", units.count(past.finished.tokens)
    yield "device", source.job.device_name
    versions = past.started.versions
    yield from ((name, versions[name]) for name in ("torch", "transformers", "peft") if name in versions)


def _losses(source: ExportSource) -> Iterator[str]:
    past = source.past
    if curve.is_drawable(past):
        yield from (f"![training loss (line) and held-out loss (points) by step]({curve.FILE})", "")
    if past.evaluations:
        yield from ("| step | held-out loss |", "|---|---|")
        yield from (f"| {x.step:,} | {x.loss:.4f} |" for x in past.evaluations)
    else:
        yield "Nothing was held out, so that no held-out loss is known."
    if past.losses:
        first, last = (
            f"{past.losses[0]:.4f} (step {past.steps[0]:,})",
            f"{past.losses[-1]:.4f} (step {past.steps[-1]:,})",
        )
        yield from ("", f"The training loss went from {first} to {last}.")
    yield from _measured(past)


def _measured(past: History) -> Iterator[str]:
    """Which weights these are, and what else was measured of them."""
    if past.finished and past.finished.saved_earlier_step:
        yield from ("", f"These are the weights of step {past.result_step:,}, where the held-out loss was lowest.")
    forgot = forgetting.sentence(x for x in forgetting.latest(past.forgetting) if x.final)
    if forgot:
        yield from ("", "## Forgetting", "", f"Loss on general text beside the base's: {_inline(forgot)}.")
    if tasks.of_trained(past.tasks):
        yield from ("", "## Task", "", f"Held-out questions, {_inline(tasks.change(past.tasks))}.")
    else:
        yield from ("", "The quality of its answers was not measured otherwise.")


def _licence(source: ExportSource) -> Iterator[str]:
    name = licence.name_of(source)
    if not name:
        yield "The base's licence is not known here; look at the base's page before you publish this model."
        return
    terms = licence.terms(name)
    yield f"The base's licence, {_inline(name)}, holds for this model too."
    if terms is None:
        yield "What it asks is not listed here; read it before you publish this model."
    else:
        yield f"{terms.asks} The text counts, not this summary: {terms.url}"
    yield "The data may have a licence of its own."


def write(source: ExportSource, checked: str, folder: Path) -> None:
    """Write the card, and the picture of the losses if there is something to draw, into `folder`."""
    (folder / FILE).write_text(markdown(source, checked), encoding="utf-8")
    if curve.is_drawable(source.past):
        (folder / curve.FILE).write_text(curve.svg(source.past), encoding="utf-8")


def _base(source: ExportSource) -> str:
    return demo.HUB_ID if source.job.model == "demo" else _public(source.job.hub_id or source.job.model)


def _data(source: ExportSource) -> str:
    return "the demo's rows of GSM8K" if source.job.data == "demo" else _public(source.job.data)


def _public(reference: str) -> str:
    """A hub id as it is; only the last name of a local path."""
    path = paths.expanded(reference)
    return path.name if path.is_absolute() or path.exists() or reference.startswith(("./", "../", "~")) else reference


def _inline(text: str) -> str:
    """Escape outside text within a line: no markup, links, table cells or unprintable characters."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return re.sub(r"([\\`*_\[\]<>|#!])", r"\\\1", shown)
