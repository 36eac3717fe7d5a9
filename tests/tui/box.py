"""A fixed box for the wizard's tests: one RTX 4090, an 8B model, four thousand rows; the planner is the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from textual import events

from backend import units
from backend.answers import METHODS, Method
from backend.data.report import DataReport, Segment
from backend.hardware import Cpu, Gpu, GpuProcess, GpuReading, Hardware, Ram, TorchBuild
from backend.launch.launch import Trainer
from backend.model import known
from backend.model.find import FoundModel
from backend.model.info import ModelInfo
from backend.plan.job import Job
from backend.planner.device import Device
from backend.planner.estimates import Fit, MethodEstimate
from backend.planner.known_fits import KnownFit
from backend.run.folder import RunFolder
from tests.tui import fixed
from tui import theme
from tui.app import WizardApp
from tui.look import LookApp
from tui.sources import Sources
from tui.widgets.foot import StatusLine

GIB = units.GIB
ROWS = 4800


def gpu() -> Gpu:
    reading = GpuReading(0, "NVIDIA GeForce RTX 4090", 3, 41, 18.0, 450.0, 600 << 20, 24564 << 20)
    return Gpu(
        index=0,
        uuid="GPU-00000000-0000-0000-0000-000000000000",
        name="NVIDIA GeForce RTX 4090",
        memory_bytes=24564 << 20,
        reserved_bytes=480 << 20,
        free_bytes=23484 << 20,
        compute_capability=(8, 9),
        processes=(GpuProcess(4242, "python3", 600 << 20),),
        reading=reading,
    )


def hardware() -> Hardware:
    return Hardware(
        gpus=(gpu(),),
        no_gpu=None,
        hidden_gpus=0,
        driver="560.35.03",
        driver_cuda=(12, 6),
        torch=TorchBuild("2.13.0", (12, 6), None),
        cpu=Cpu("AMD Ryzen 9 7950X", 16, 32, 32.0, True, False),
        ram=Ram(64 * GIB, 57 * GIB, False),
        disk_path=Path("/home/ada/.local/share/fttui"),
        disk_free_bytes=412_000_000_000,
    )


def model(hub_id: str = "meta-llama/Llama-3.1-8B-Instruct", reference: str | None = None) -> ModelInfo:
    entry = known.by_name(hub_id)
    assert entry is not None
    shape = entry[0].shape(entry[1])
    size = shape.parameters * 2
    kind: Literal["hub", "demo"] = "demo" if reference == "demo" else "hub"
    return ModelInfo(reference or hub_id, kind, shape, None, True, size, 0, None, hub_id=entry[1])


def report(reference: str = "support.jsonl", rows: int = ROWS) -> DataReport:
    rng = np.random.default_rng(0)
    tokens = np.clip(rng.lognormal(5.9, 0.5, rows), 40, 3000).astype(np.int64)
    scored = (tokens * 0.55).astype(np.int64)
    return DataReport(
        reference=reference,
        format="prompt-completion",
        mapping={"prompt": "question", "completion": "answer"},
        columns=("question", "answer", "id"),
        row_tokens=tokens,
        row_scored_tokens=scored,
        row_prompt_tokens=tokens - scored,
        duplicate_rows=12,
        preview=(
            Segment(
                "<|start_header_id|>user<|end_header_id|>\n\nMy parcel says delivered, but nothing came.<|eot_id|>",
                False,
            ),
            Segment("<|start_header_id|>assistant<|end_header_id|>\n\n", False),
            Segment(
                "I am sorry about that. Please look with your neighbours first; I have opened a claim.<|eot_id|>", True
            ),
        ),
    )


def no_run(job: Job) -> tuple[RunFolder, Trainer]:
    raise AssertionError("nothing should have been started")


class FixedSources(Sources):
    """The real planner on the fixed box, model and data."""

    def detect(self) -> Hardware:
        return hardware()

    def models_here(self) -> list[FoundModel]:
        return [
            FoundModel(
                "meta-llama/Llama-3.1-8B-Instruct",
                "Llama-3.1-8B-Instruct · 8.03 B parameters · 16.1 GB · downloaded",
                16,
            ),
            FoundModel("demo", "SmolLM2-135M-Instruct · 134.5 M parameters · 538 MB · ships with fttui", 5),
        ]

    def known_fits(self, device: Device) -> list[KnownFit]:
        return [
            KnownFit(("Qwen/Qwen3-8B",), "Qwen3-8B", 8_190_735_360, {"lora": "fits", "qlora": "fits", "full": "no"})
        ]

    def estimates(self, model: ModelInfo, device: Device) -> dict[Method, MethodEstimate]:
        return {method: fixed.estimate(method, 3.0) for method in METHODS}

    def fits(self, model: ModelInfo, device: Device) -> dict[Method, Fit]:
        return {"lora": "tight", "qlora": "fits", "full": "no"}

    def find_model(self, reference: str) -> ModelInfo:
        return model()

    def data_here(self) -> list[Path]:
        return [Path("support.jsonl")]

    def inspect_data(
        self,
        reference: str,
        mapping: tuple[str, ...],
        model: ModelInfo | None,
        read_by: Mapping[str, Any] | None = None,
    ) -> DataReport:
        return report(reference)

    def demo_is_ready(self) -> bool:
        return True

    def demo_tokenizer_ready(self) -> bool:
        return True

    def prepare_demo(self) -> None:
        pass

    def warm_up(self) -> None:
        pass


def sources(**changes: Callable[..., Any]) -> Sources:
    """The fixed sources, with the methods in `changes` in place of theirs."""
    fixed = FixedSources()
    for name, call in changes.items():
        assert hasattr(fixed, name), name
        setattr(fixed, name, call)
    return fixed


def at(step: str, *args: Any, **changes: Any) -> WizardApp:
    """The wizard opened at `step`, with the steps before it answered."""
    wizard = app(*args, **changes)
    journey = wizard.journey
    journey.hardware = hardware()
    journey.here = journey.device = journey.sources.here(journey.hardware)
    journey.model, journey.data = model(), report()
    journey.answer(model=journey.model.reference, data=journey.data.reference)
    journey.done = {"hardware", "model", "data", "goal"}
    wizard.start_at = step
    return wizard


def said(app: LookApp) -> str:
    """What the status line of the screen in front shows."""
    lines = app.screen.query_one(StatusLine)
    return str(lines.content) if lines.display else ""


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def app(
    launch: Callable[[Job], tuple[RunFolder, Trainer]] = no_run,
    *,
    clock: Callable[[], float] | None = None,
    **changes: Any,
) -> WizardApp:
    wizard = WizardApp(launch=launch, sources=sources(**changes), clock=clock or Clock())
    wizard.preferred_theme = theme.DARK
    return wizard


async def paste(pilot: Any, text: str) -> None:
    """As a terminal pastes: all of it in one event."""
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()


async def to_step(pilot: Any, step: str) -> None:
    """Enter until `step` is in front, with everything on it looked up."""
    for _ in range(6):
        await settled(pilot)
        if getattr(pilot.app.screen, "STEP", None) == step:
            return
        await pilot.press("enter")
    raise AssertionError(f"the step {step} was not reached")


async def settled(pilot: Any) -> None:
    """Workers have answered and everything is drawn."""
    for _ in range(3):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
