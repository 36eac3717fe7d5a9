"""The files that are read back, and what reads each: for tests, and for the fuzzer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from backend import answers_file, paths, presets
from backend import settings as own_settings
from backend.data import added_tokens, store
from backend.errors import UserError
from backend.hardware import rate, segments
from backend.measured import ran_out, records
from backend.model import adapter, used
from backend.plan.job import Job, PeakParts, Prediction, Uncorrected
from backend.plan.plan import Plan
from backend.run import plan_file
from backend.run.control import Inbox
from backend.run.folder import RunFolder
from backend.run.history import read
from tests.backend.adapter_files import make_adapter
from tui.commands import runs

UNCORRECTED = Uncorrected(10, PeakParts(1, 2, 3, 4, 5, 6), 7.0, 8.0)
JOB = Job(
    model="org/model",
    model_folder="org/model",
    data="rows.jsonl",
    plan=Plan(method="lora", rank=8, target_modules="q_proj,v_proj"),
    device="cpu",
    device_name="CPU",
    predicted=Prediction(10, 9, 100, 1.5, 1.0, 2.0, 250.0, uncorrected=UNCORRECTED, phases={"load": 3}),
    created=1_700_000_000.5,
)
RECORD = {
    "t": 1.0,
    "run": "a",
    "kind": "cpu",
    "device": "CPU",
    "versions": {"torch": "2.13"},
    "model": "m",
    "method": "lora",
    "settings": {"rank": 3},
    "foreseen": {
        "parameters": 10,
        "memory": dict.fromkeys(("rest_bytes", "states_bytes", "slack_bytes", "fixed_bytes", "load_bytes"), 1)
        | {"passing_bytes": 3},
        "tokens_per_second": 1.0,
        "overhead_seconds": 1.0,
    },
    "phases": {"load": {"peak_bytes": 1, "reserved_bytes": 1, "rest_bytes": 1, "seconds": 1.0, "times": 1}},
    "context_bytes": None,
    "steps": 5,
    "tokens_per_second": 3.0,
}
CPU = SimpleNamespace(name="CPU", usable_cores=2.0, bf16=False)


@dataclass(frozen=True)
class Reader:
    """A file, what it holds if it is whole, and what reads it."""

    file: Callable[[], Path]
    good: Callable[[], bytes]
    reads: Callable[[], object]


def a_run() -> RunFolder:
    known = [RunFolder(path) for path in sorted((answers_file.path().parent / "runs").glob("*"))]
    return known[0] if known else RunFolder.create(JOB)


def plan_text() -> bytes:
    path = answers_file.path().parent / "a-plan.toml"
    plan_file.write(path, JOB)
    return path.read_bytes()


_as_json = itertools.cycle((False, True))


def listed() -> None:
    """As a table and as JSON, in turns."""
    a_run()
    assert runs.runs(json=next(_as_json)) == 0


def presets_shown() -> None:
    found = presets.listing()
    assert {one.name for one in found} >= {"own", "demo"}


def checkpoints() -> None:
    from backend.training.saving import checkpoint

    checkpoint.newest(a_run().checkpoints)
    checkpoint.best(a_run().checkpoints)


def manifest_file() -> Path:
    folder = a_run().checkpoints / "step-00000010"
    folder.mkdir(exist_ok=True)
    return folder / "manifest.json"


def said(reads: Callable[[], object]) -> Callable[[], object]:
    """A reader that refuses with a sentence."""

    def call() -> None:
        try:
            reads()
        except UserError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 1000

    return call


def home(name: str) -> Callable[[], Path]:
    return lambda: answers_file.path().parent / name


EVENTS = b'{"t":1.0,"event":"run_started","plan":{"rank":3}}\n{"t":2.0,"event":"step","step":3,"loss":1.0}\n'
ADAPTER = home("an-adapter")


def made_adapter() -> Path:
    """An adapter that is whole."""
    folder = ADAPTER()
    for path in (folder / adapter.CONFIG, folder / adapter.WEIGHTS):
        if path.is_dir():
            path.rmdir()
    return make_adapter(folder)


READERS = {
    "plan.toml": Reader(lambda: a_run().plan_file, plan_text, listed),
    "plan.toml, resumed": Reader(lambda: a_run().plan_file, plan_text, said(lambda: a_run().job())),
    "events.jsonl": Reader(lambda: a_run().events_file, lambda: EVENTS, listed),
    "events.jsonl, on the screen": Reader(
        lambda: a_run().events_file, lambda: EVENTS, lambda: read(a_run().events_file, a_run().log_file)
    ),
    "trainer.log": Reader(
        lambda: a_run().log_file, lambda: b"a\rb\nc\n", lambda: read(a_run().events_file, a_run().log_file)
    ),
    "commands.jsonl": Reader(
        lambda: a_run().commands_file,
        lambda: b'{"t":1.0,"event":"stop"}\n{"t":1.0,"event":"checkpoint"}\n',
        lambda: Inbox(a_run().commands_file, 0).poll(),
    ),
    "adjusted.json": Reader(
        lambda: a_run()._adjusted_file, lambda: b'{"micro_batch":2,"packing":false}', lambda: a_run().adjusted()
    ),
    "manifest.json": Reader(
        manifest_file, lambda: b'{"step":10,"sha256":{"weights.safetensors":"ab","state.pt":"cd"}}', checkpoints
    ),
    "calibration.jsonl": Reader(records.file, lambda: json.dumps(RECORD).encode() + b"\n", records.read),
    "cpu.json": Reader(
        home("cpu.json"),
        lambda: b'{"name":"CPU","cores":2.0,"flops_per_second":3.0,"bf16_gains":[1.0,2.0,3.0]}',
        lambda: rate.bf16_gain(CPU),  # type: ignore[arg-type]
    ),
    "ran_out.json": Reader(
        ran_out.file,
        lambda: b'{"CPU":{"foreseen_bytes":3,"t":1.0}}',
        lambda: [ran_out.limit("CPU")],
    ),
    "segments.json": Reader(home(segments.FILE), lambda: b'{"A GPU, driver 580, torch 2":true}', segments._tried),
    "models_used.json": Reader(home("models_used.json"), lambda: b'["/a","/b"]', used.folders),
    "answers.toml": Reader(
        answers_file.path, lambda: b'model = "8b"\nvariants = 2\nmapping = ["prompt=q"]\n', answers_file.load
    ),
    "config.toml": Reader(
        own_settings.path, lambda: b'theme = "x"\nascii = true\nnotify = "bell"\n', said(own_settings.load)
    ),
    "a preset": Reader(
        lambda: paths.own_presets() / "own.toml",
        lambda: b'description = "x"\nrank = 16\n[job]\nmodel = "8b"\n[made_for]\ndevice = "CPU"\nmicro_batch = 2\n',
        presets_shown,
    ),
    "adapter_config.json": Reader(
        lambda: made_adapter() / adapter.CONFIG,
        lambda: (made_adapter() / adapter.CONFIG).read_bytes(),
        said(lambda: adapter.read(ADAPTER())),
    ),
    "adapter_model.safetensors": Reader(
        lambda: made_adapter() / adapter.WEIGHTS,
        lambda: (made_adapter() / adapter.WEIGHTS).read_bytes(),
        said(lambda: adapter.read(ADAPTER())),
    ),
    "new tokens": Reader(
        home("new.txt"), lambda: b'["<a>", "<b>"]', said(lambda: added_tokens.read(str(home("new.txt")())))
    ),
    "the cache": Reader(
        lambda: store.folder() / "key" / store.META,
        lambda: b'{"rows":1,"arrays":[],"meta":{}}',
        lambda: store.load("key"),
    ),
}
