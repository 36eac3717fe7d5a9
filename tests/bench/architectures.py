"""Every causal architecture of transformers, tiny: planned, trained, saved, loaded, merged: `make bench-architectures`.

    python -m tests.bench.architectures [--methods lora,qlora,full] [--kept FILE] [--set KEY=VALUE] [--new-tokens]
        [--untried] [FAMILY ...]

For each family and method: the parameters that the plan counts against the real ones, two steps by the trainer, the
result loaded by plain transformers and peft, its held-out loss against the trainer's, and that of the merged export.
Finished families are in FILE (JSON lines), so that an interrupted survey resumes; without FAMILY all are tried.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backend.answers import METHODS, Answers, Method
from backend.errors import UserError
from backend.model import config
from tests.bench import architecture_models as tiny

TOLERANCE = 2e-4
"""Tolerance of a loss of about 6 nats, computed in float32 in another arrangement of rows."""
ROWS = [
    {"instruction": f"How many apples are left when Tom eats {n} of his {n + 7} apples?", "output": f"{7 + n % 3} are"}
    for n in range(16)
]


@dataclass
class Outcome:
    """One family with one method. `state`: right, refused (by the plan), failed (after it) or wrong."""

    family: str
    method: str
    state: str = "right"
    why: str = ""
    planned: int = 0
    real: int = 0
    planned_trainable: int = 0
    trainable: int = 0
    loss: float = 0.0
    loaded_loss: float = 0.0
    merged_loss: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class More:
    """What the plans have in addition to the usual settings."""

    settings: tuple[str, ...] = ()
    new_tokens: bool = False


def survey(family: str, methods: Sequence[Method], home: Path, more: More = More()) -> Iterator[Outcome]:
    """The family's outcomes; a family that fails raises nothing."""
    folder, data = home / family / "model", home / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    try:
        real = _made(family, folder)
    except Exception as error:  # noqa: BLE001 - a family may raise anything
        yield Outcome(family, "all", "not built", f"{type(error).__name__}: {str(error).splitlines()[0][:120]}")
        return
    for method in methods:
        began, it = time.perf_counter(), Outcome(family, method, real=real)
        try:
            _try(it, folder, data, method, more)
        except UserError as error:
            it.state, it.why = "refused", str(error)
        except Exception as error:  # noqa: BLE001 - a family may raise anything
            it.state, it.why = "failed", f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}"
        it.seconds = time.perf_counter() - began
        yield it
    shutil.rmtree(home / family, ignore_errors=True)


def _made(family: str, folder: Path) -> int:
    from tests.tiny import make_tokenizer

    model = tiny.build(family)
    model.save_pretrained(folder)
    make_tokenizer(folder)
    return sum(p.numel() for p in model.parameters())


def _try(it: Outcome, folder: Path, data: Path, method: Method, more: More) -> None:
    from backend.planner import jobs, situation
    from backend.run.folder import RunFolder
    from backend.training.train import train

    chosen = (*SETTINGS, *more.settings, f"method={method}")
    tokens = data.with_name("new-tokens.txt")
    tokens.write_text("apples\n<new>\n", encoding="utf-8")
    answers = Answers(
        model=str(folder),
        data=str(data),
        max_length=128,
        effective_batch=4,
        set=chosen,
        add_tokens=str(tokens) if more.new_tokens else None,
    )
    comparison = situation.predict(answers)
    seen = comparison.methods[method]
    it.planned, it.planned_trainable = comparison.model.shape.parameters, seen.trainable_parameters
    run = RunFolder.create(jobs.job(comparison, method))
    state = train(run)
    events = [json.loads(line) for line in run.events_file.read_text(encoding="utf-8").splitlines()]
    ended = next(event for event in reversed(events) if event.get("event") == "run_finished")
    if state != "done":
        it.state, it.why = "failed", str(ended.get("error"))
        return
    if more.new_tokens:
        folder = run.path / "base"
        it.real = sum(p.numel() for p in _auto(folder).parameters())
    started = [event for event in events if event.get("event") == "run_started"]
    it.trainable, it.loss = int(started[-1]["trainable_parameters"]), float(ended["eval_loss"])
    it.loaded_loss = _plain_loss(folder, run, method)
    it.merged_loss = _merged_loss(run)
    it.state, it.why = _verdict(it)


SETTINGS = (
    *("precision=float32", "max_steps=2", "micro_batch=2", "eval_fraction=0.25", "learning_rate=0.005"),
    *("rank=4", "alpha=8", "target_modules=all-linear", "processes=1"),
)


def _verdict(it: Outcome) -> tuple[str, str]:
    faults = []
    if it.planned != it.real:
        faults.append(f"{it.planned:,} parameters planned, {it.real:,} are there")
    if it.planned_trainable != it.trainable:
        faults.append(f"{it.planned_trainable:,} trainable planned, {it.trainable:,} trained")
    if abs(it.loss - it.loaded_loss) > TOLERANCE * max(1.0, it.loss):
        faults.append(f"held-out loss {it.loss:.5f}, loaded {it.loaded_loss:.5f}")
    if it.method == "lora" and abs(it.loss - it.merged_loss) > TOLERANCE * max(1.0, it.loss):
        faults.append(f"held-out loss {it.loss:.5f}, merged {it.merged_loss:.5f}")
    return ("wrong" if faults else "right"), "; ".join(faults)


def _merged_loss(run: Any) -> float:
    from backend.export import source
    from backend.export.export import export

    made = export(source.find(str(run.path)), "merged", None, lambda text: None)
    return _loss(_auto(made.folder), run)


def _plain_loss(folder: Path, run: Any, method: Method) -> float:
    """The result as plain transformers and peft load it; QLoRA's adapter over the base in 4 bits, as it was trained."""
    from peft import PeftModel

    if method == "full":
        return _loss(_auto(run.result), run)
    return _loss(PeftModel.from_pretrained(_auto(folder, in_4_bits=method == "qlora"), run.result), run)


def _auto(folder: Path, *, in_4_bits: bool = False) -> Any:
    import torch
    from transformers import AutoConfig, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": torch.float32}
    if in_4_bits:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )
    model = tiny.auto_class(AutoConfig.from_pretrained(folder)).from_pretrained(folder, **options)
    for module in model.modules() if in_4_bits else ():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # the kernel there rounds to bfloat16, and takes no odd widths
    return model


def _loss(model: Any, run: Any) -> float:
    """Mean loss of the held-out target tokens, one row at a time, with only the rows taken from the trainer."""
    import torch

    from backend.data.prepare import prepare
    from backend.data.tokenizing import Tokenizing

    job = run.job()
    plan = job.plan
    how = Tokenizing(None, plan.train_on_turns, plan.special_tokens_in_data)
    base = run.path / "base" if job.added_tokens else Path(job.model_folder)
    rows = prepare(job.data, job.mapping, base, plan.max_length, plan.eval_fraction, plan.seed, _silent, how).held_out
    total, count = 0.0, 0
    with torch.no_grad():
        for ids, scored in (rows[at] for at in range(len(rows))):
            tokens, targets = torch.tensor(ids).long()[None], torch.tensor(scored)[1:]
            logits = model.eval()(input_ids=tokens, use_cache=False).logits[0, :-1].float()
            losses = torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none")
            total, count = total + float(losses[targets].sum()), count + int(targets.sum())
    return total / count


def _silent(text: str) -> None:
    """Ignore the messages of the preparation."""


def _table(found: Sequence[Outcome]) -> str:
    lines = [
        "| family | method | parameters planned / real | trainable planned / real | held-out | loaded | merged | |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for x in found:
        counts = f"{x.planned:,} / {x.real:,} | {x.planned_trainable:,} / {x.trainable:,}"
        losses = f"{x.loss:.5f} | {x.loaded_loss:.5f} | {x.merged_loss:.5f}"
        lines.append(f"| {x.family} | {x.method} | {counts} | {losses} | {x.state} {x.why} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Survey and print; 1 if a family failed after an accepted plan, or is silently wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("families", nargs="*")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--new-tokens", action="store_true")
    parser.add_argument("--untried", action="store_true", help="families too that the plan refuses as not tried")
    options = parser.parse_args(arguments)
    if options.untried:
        config._check_tried = lambda *_: None
    more = More(tuple(options.set), options.new_tokens)
    methods = [x for x in METHODS if x in options.methods.split(",")]
    found: list[Outcome] = []
    if options.kept and options.kept.is_file():
        found = [Outcome(**json.loads(line)) for line in options.kept.read_text(encoding="utf-8").splitlines()]
    done = {x.family for x in found}
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = str(Path(home) / "home")
        for family in options.families or tiny.names():
            if family in done or family in tiny.table()["too_large"]:
                continue
            for outcome in survey(family, methods, Path(home), more):
                found.append(outcome)
                print(f"{outcome.family} {outcome.method}: {outcome.state} {outcome.why}", file=sys.stderr, flush=True)
                if options.kept:
                    with options.kept.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(outcome)) + "\n")
    print(_table(found))
    return int(any(x.state in ("failed", "wrong") for x in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
