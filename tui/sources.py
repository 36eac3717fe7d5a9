"""What the wizard asks the backend: one object, so that a test gives a fixed box. Each call imports what it needs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.answers import Answers, Method
    from backend.data.report import DataReport
    from backend.hardware import Hardware
    from backend.model.find import FoundModel
    from backend.model.info import ModelInfo
    from backend.plan.job import Job
    from backend.plan.preset import Preset
    from backend.planner.device import Device
    from backend.planner.estimates import Comparison
    from backend.planner.rent import RentOffer
    from backend.presets import Broken


def _detect() -> Hardware:
    from backend import hardware

    return hardware.detect()


def _here(hardware: Hardware) -> Device:
    from backend.planner import devices

    return devices.here(hardware)


def _named(text: str) -> Device:
    from backend.planner import devices

    return devices.named(text)


def _device_names() -> list[str]:
    from backend.planner import devices

    return devices.choices()


def _models_here() -> list[FoundModel]:
    from backend.model import find

    return find.on_this_box()


def _find_model(reference: str) -> ModelInfo:
    from backend.model import find

    return find.find(reference)


def _data_here() -> list[Path]:
    from backend.data import inspect

    return inspect.candidates(Path.cwd())


def _inspect_data(reference: str, mapping: tuple[str, ...], model: ModelInfo | None) -> DataReport:
    from backend.data import inspect

    return inspect.inspect(reference, mapping=mapping, model=model)


def _predict_data(rows: int, row_tokens: int) -> DataReport:
    from backend.data import inspect

    return inspect.assumed(rows, row_tokens)


def _compare(
    answers: Answers,
    device: Device,
    model: ModelInfo,
    data: DataReport,
    preset: Preset | None = None,
) -> Comparison:
    from backend.planner import compare

    return compare.compare(answers, device, model, data, preset)


def _preset_listing() -> list[Preset | Broken]:
    from backend import presets

    return presets.listing()


def _offers(
    answers: Answers,
    model: ModelInfo,
    data: DataReport,
    preset: Preset | None = None,
) -> tuple[RentOffer, ...]:
    from backend.planner import rent

    return rent.offers(answers, model, data, preset)


def _dry_run_command(answers: Answers, start: Preset | None) -> list[str]:
    return [*_plan_command(answers, start), "--dry-run"]


def _trial_command(answers: Answers, start: Preset | None) -> list[str]:
    return [*_plan_command(answers, start), "--trial"]


def _plan_command(answers: Answers, start: Preset | None) -> list[str]:
    from tui import command_line

    preset = ["--preset", str(start.path)] if start else []  # it need not be among the named ones
    return [sys.executable, "-m", "tui", "plan", *preset, *command_line.options(answers)]


def _job(comparison: Comparison, method: Method, preset: str | None) -> Job:
    from backend.planner import jobs

    return jobs.job(comparison, method, preset)


def _remember_model(reference: str) -> None:
    from backend.model import find

    find.remember(reference)


def _demo_is_ready() -> bool:
    from backend.model import demo

    return demo.is_ready()


def _demo_tokenizer_ready() -> bool:
    from backend.model import demo

    return demo.tokenizer_ready()


def _prepare_demo() -> object:
    from backend.model import demo

    return demo.start_conversion()


def _warm_up() -> None:
    from backend.training.warm_up import warm_up

    warm_up()


@dataclass(frozen=True)
class Sources:
    """The backend's questions and answers that the screens use."""

    detect: Callable[[], Hardware] = _detect
    here: Callable[[Hardware], Device] = _here
    named: Callable[[str], Device] = _named
    device_names: Callable[[], list[str]] = _device_names
    models_here: Callable[[], list[FoundModel]] = _models_here
    find_model: Callable[[str], ModelInfo] = _find_model
    data_here: Callable[[], list[Path]] = _data_here
    inspect_data: Callable[[str, tuple[str, ...], ModelInfo | None], DataReport] = _inspect_data
    predict_data: Callable[[int, int], DataReport] = _predict_data
    compare: Callable[..., Comparison] = _compare
    """Answers, device, model, data, and the preset that was started from, if any."""
    presets: Callable[[], list[Preset | Broken]] = _preset_listing
    offers: Callable[..., tuple[RentOffer, ...]] = _offers
    """Answers, model, data, and the preset that was started from, if any."""
    dry_run_command: Callable[[Answers, Preset | None], list[str]] = _dry_run_command
    """The command that checks the memory of the job with these answers, started from this preset."""
    trial_command: Callable[[Answers, Preset | None], list[str]] = _trial_command
    """The command that tries each method of that job for a few real steps."""
    job: Callable[[Comparison, Method, str | None], Job] = _job
    remember_model: Callable[[str], None] = _remember_model
    demo_is_ready: Callable[[], bool] = _demo_is_ready
    demo_tokenizer_ready: Callable[[], bool] = _demo_tokenizer_ready
    prepare_demo: Callable[[], object] = _prepare_demo
    warm_up: Callable[[], None] = _warm_up
