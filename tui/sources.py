"""What the wizard asks the backend, in one object: a test replaces what it wants to be fixed.

Each method imports what it needs when it is called, so that a screen is up before the planner is loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.answers import Answers, Method
    from backend.data.browse import RowBrowser
    from backend.data.report import DataReport
    from backend.hardware import Hardware
    from backend.model.find import FoundModel
    from backend.model.info import ModelInfo
    from backend.plan.job import Job
    from backend.plan.preset import Preset
    from backend.planner.device import Device
    from backend.planner.estimates import Comparison, Fit, MethodEstimate
    from backend.planner.known_fits import KnownFit
    from backend.planner.outlook import Outlook
    from backend.planner.rent import RentOffer
    from backend.planner.sizes import Sizes
    from backend.presets import Broken


class Sources:
    """The real backend. `start` is the preset that the wizard was started from; its plan fields are kept."""

    def detect(self) -> Hardware:
        """What this box has."""
        from backend import hardware

        return hardware.detect()

    def here(self, hardware: Hardware) -> Device:
        """This box as a device to plan for."""
        from backend.planner import devices

        return devices.here(hardware)

    def named(self, text: str) -> Device:
        """A known GPU, such as `4090` or `A100-80GB:2`. Raises UserError for an unknown name."""
        from backend.planner import devices

        return devices.named(text)

    def spread(self, device: Device, answers: Answers) -> Device:
        """`device` in as many boxes as the answers say. Raises UserError for what can't be planned."""
        from backend.planner import nodes

        return nodes.spread(device, answers)

    def device_names(self) -> list[str]:
        """Every known GPU."""
        from backend.planner import devices

        return devices.choices()

    def models_here(self) -> list[FoundModel]:
        """Models on this box."""
        from backend.model import find

        return find.on_this_box()

    def known_fits(self, device: Device) -> list[KnownFit]:
        """Every well-known model, with the methods that fit `device`."""
        from backend.planner import known_fits

        return list(known_fits.of_all(device))

    def fits(self, model: ModelInfo, device: Device) -> Mapping[Method, Fit]:
        """How each method of `model` fits `device`."""
        from backend.planner import known_fits

        return known_fits.of(model, device)

    def estimates(self, model: ModelInfo, device: Device) -> Mapping[Method, MethodEstimate]:
        """What each method of `model` would take on `device`, for data of a usual size."""
        from backend.planner import known_fits

        return known_fits.estimates(model, device)

    def find_model(self, reference: str) -> ModelInfo:
        """The model that a folder, a hub id, a size or `demo` names. Raises UserError."""
        from backend.model import find

        return find.find(reference)

    def remember_model(self, reference: str) -> None:
        """Offer it first next time."""
        from backend.model import find

        find.remember(reference)

    def data_here(self) -> list[Path]:
        """Data files in the working directory."""
        from backend.data import inspect

        try:
            return inspect.candidates(Path.cwd())
        except OSError:  # the folder is gone
            return []

    def started(self, answers: Answers, model: ModelInfo | None) -> ModelInfo | None:
        """The model with the adapter and the new tokens that the wizard was started with. Raises UserError."""
        from backend.planner import start as starts

        return starts.of(answers, model) if model is not None else None

    def read_by(self, answers: Answers, start: Preset | None) -> dict[str, Any]:
        """The plan fields set by the user or the preset that change how the data is read."""
        from backend.data.tokenizing import FIELDS
        from backend.errors import UserError
        from backend.planner import rules

        try:
            kept = rules.pin(answers, start).values
        except UserError:  # the goal step drops what is refused
            return {}
        return {key: kept[key] for key in sorted((*FIELDS, "objective")) if key in kept}

    def inspect_data(
        self,
        reference: str,
        mapping: tuple[str, ...],
        model: ModelInfo | None,
        read_by: Mapping[str, Any] | None = None,
    ) -> DataReport:
        """The report on a file, a folder, a hub id or `demo`, read as a run would read it. Raises UserError."""
        from backend.data import inspect
        from backend.data.tokenizing import chosen

        kept = read_by or {}
        objective = kept.get("objective", "sft")
        return inspect.inspect(reference, mapping=mapping, model=model, how=chosen(kept), objective=objective)

    def browse_data(
        self,
        reference: str,
        mapping: tuple[str, ...],
        model: ModelInfo | None,
        max_length: int | None,
        read_by: Mapping[str, Any],
    ) -> RowBrowser:
        """Rows one by one, cut after `max_length` tokens, with the targets that settings choose. Raises UserError."""
        from backend.data.browse import RowBrowser
        from backend.data.tokenizing import chosen

        objective = read_by.get("objective", "sft")
        return RowBrowser(reference, mapping, model, max_length, chosen(read_by), objective)

    def max_length(self, model: ModelInfo, data: DataReport) -> int:
        """After how many tokens rows are cut unless the user says otherwise."""
        from backend.planner import rules

        return rules.max_length(model, data)

    def predict_data(self, rows: int, row_tokens: int) -> DataReport:
        """The report on data of which only the size is known."""
        from backend.data import inspect

        return inspect.assumed(rows, row_tokens)

    def presets(self) -> list[Preset | Broken]:
        """All presets; those that can't be used with the reason."""
        from backend import presets

        return presets.listing()

    def compare(
        self, answers: Answers, device: Device, model: ModelInfo, data: DataReport, start: Preset | None
    ) -> Comparison:
        """The three methods side by side. Raises UserError for a setting that the planner refuses."""
        from backend.planner import compare
        from backend.planner import start as starts

        return compare.compare(answers, device, starts.of(answers, model), data, start)

    def offers(
        self, answers: Answers, model: ModelInfo, data: DataReport, start: Preset | None
    ) -> tuple[RentOffer, ...]:
        """The GPUs to rent for this job, the cheapest first."""
        from backend.planner import rent
        from backend.planner import start as starts

        return rent.offers(answers, starts.of(answers, model), data, start)

    def model_here(self, reference: str) -> ModelInfo | None:
        """As `find_model`, without asking the hub; None for what only the hub knows. Raises UserError."""
        from backend.model import find

        return find.without_the_hub(reference)

    def outlook(self, preset: Preset, answers: Answers, device: Device, model: ModelInfo, data: DataReport) -> Outlook:
        """What a preset would take with these answers. Raises UserError for what can't be planned."""
        from backend.planner import outlook

        return outlook.outlook(preset, answers, device, model, data)

    def sizes(self, comparison: Comparison, method: Method, start: Preset | None) -> Sizes:
        """The micro-batches and lengths that still fit around the plan of one method."""
        from backend.planner import sizes

        return sizes.sizes(comparison, method, start)

    def method_set(self, answers: Answers, start: Preset | None) -> Method | None:
        """The method that the preset or the user's settings name; None if the planner chooses."""
        from backend.planner import rules

        method: Method | None = rules.pin(answers, start).values.get("method")
        return method

    def job(self, comparison: Comparison, method: Method, preset: str | None) -> Job:
        """What is trained when `method` is chosen; `preset` names where the answers come from."""
        from backend.planner import jobs

        return jobs.job(comparison, method, preset)

    def dry_run_command(self, answers: Answers, start: Preset | None) -> list[str]:
        """The command that checks the memory of this job."""
        return [*_plan_command(answers, start), "--dry-run"]

    def trial_command(self, answers: Answers, start: Preset | None) -> list[str]:
        """The command that tries each method of this job for a few real steps."""
        return [*_plan_command(answers, start), "--trial"]

    def demo_is_ready(self) -> bool:
        """Whether the demo model has been converted."""
        from backend.model import demo

        return demo.is_ready()

    def demo_tokenizer_ready(self) -> bool:
        """Whether the demo model's tokenizer has been made: tokens are then counted, not estimated."""
        from backend.model import demo

        return demo.tokenizer_ready()

    def prepare_demo(self) -> object:
        """Start converting the demo model in its own process, which is returned so that the caller keeps it."""
        from backend.model import demo

        return demo.start_conversion()

    def warm_up(self) -> None:
        """Load torch and what the trainer needs."""
        from backend.training.warm_up import warm_up

        warm_up()


def _plan_command(answers: Answers, start: Preset | None) -> list[str]:
    from tui import command_line

    preset = ["--preset", str(start.path)] if start else []  # its file: it need not be one of the named presets
    return [sys.executable, "-m", "tui", "plan", *preset, *command_line.options(answers)]
