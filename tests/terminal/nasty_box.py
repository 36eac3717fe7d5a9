"""A box on which every outside text is nasty: model, data, presets and runs, made as files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from backend import answers_file, paths
from backend.answers import Answers
from backend.model import used
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run import plan_file
from backend.run.event_log import EventLog
from backend.run.events import (
    Calibrated,
    CheckpointSaved,
    Evaluated,
    Logged,
    OutOfMemory,
    PhaseStarted,
    RunFinished,
    RunStarted,
    Sampled,
    StepDone,
)
from backend.run.folder import RunFolder
from backend.run.json_lines import Appender
from tests.tiny import make_model
from tests.tui.nasty import ALL, NAMES, NASTY
from tests.tui.story import PREDICTED

TITLE, LINK, MARKUP = NASTY["title"], NASTY["link"], NASTY["markup"]
MODEL = f"m{NAMES['title']}{NAMES['clear in C1']}"
NO_MODEL = f"no{NAMES['title']}model"
ODD_MODEL = f"z odd{NAMES['title']}"
ALL_ROWS = "y all.jsonl"
BROKEN = f"z broken {NAMES['title']}.jsonl"
PRESET = "nasty [red]\x1b]0;PWNED\x07"
FILES = (
    *("colour", "title", "title in C1", "clear", "end of a paste", "answer back", "carriage return over", "link"),
    *("bidi override", "zero width", "tags", "combining heap", "private and unassigned", "line separators"),
    *("markup", "HTML", "Markdown", "shell"),
)
"""The nasty texts in the data files' names: as many as the wizard offers files."""
ODD_RUN = f"b {NAMES['title']} {NAMES['bidi override']}"
MISSING = f"missing {NAMES['title']}{NAMES['bidi override']}.jsonl"


def make(folder: Path) -> None:
    """Make everything; `folder` is the one that the wizard is started in."""
    model(folder / MODEL)
    (folder / NO_MODEL).mkdir()
    used.remember(str(folder / MODEL))
    data(folder)
    presets()
    run("stopped", "a-run")
    run(f"odd {TITLE}", ODD_RUN)
    answers_file.save(Answers(model=str(folder / NO_MODEL), data=str(folder / MISSING)))


def model(folder: Path) -> None:
    """A model whose names, special tokens and chat template are nasty; its figures are those of a tiny Llama."""
    make_model(folder, max_position_embeddings=4096)
    config = json.loads((folder / "config.json").read_text())
    config |= {"_name_or_path": ALL}
    (folder / "config.json").write_text(json.dumps(config))
    unknown = folder.with_name(ODD_MODEL)  # not a family of transformers: refused by its own name
    make_model(unknown)
    nasty = f"odd{TITLE}{MARKUP}"
    config |= {"architectures": [f"{TITLE}ForCausalLM"], "model_type": nasty, "hidden_act": nasty}
    (unknown / "config.json").write_text(json.dumps(config))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{{ '\x1b]0;PWNED\x07template\x9b2J' }}" + settings["chat_template"]
    settings["eos_token"] = f"<{TITLE}>"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def data(folder: Path) -> None:
    """Files with nasty names, columns and rows; one that has all of it, and one that is broken."""
    for name in FILES:
        write_rows(folder / f"{NAMES[name]}.jsonl", NASTY[name])
    write_rows(folder / ALL_ROWS, " ".join(NASTY.values()))
    (folder / BROKEN).write_text(f'{{"{ALL.encode("unicode_escape").decode()}')


def write_rows(path: Path, text: str) -> None:
    """Four rows of `text`, in columns of which one is named by it."""
    rows = [{"prompt": f"{text}{i}", "completion": f"says {text}{i}", f"x{text}": text} for i in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def presets() -> None:
    """Two presets that work, one with an unknown key, and one with raw control characters, all nasty."""
    own = paths.own_presets()
    text = json.dumps(f"about {TITLE}{LINK}{MARKUP}")
    job = 'shift = "deep"\n[made_for]\ndevice = "a box \\u001b]0;PWNED\\u0007"\nmicro_batch = 7\n'
    (own / f"{PRESET}.toml").write_text(f'description = {text}\nmethod = "lora"\nrank = 4\n[job]\n{job}')
    (own / "clean.toml").write_text(f"# {MARKUP}\ndescription = {text}\nrank = 8\n")
    (own / f"bad{NAMES['colour']}.toml").write_text(f'rank = 8\n"{TITLE.encode("unicode_escape").decode()}" = 1\n')
    (own / "raw.toml").write_text(f"# {ALL}\n", newline="")


def run(state: str, name: str) -> RunFolder:
    """A run that has ended, with nasty names and texts."""
    job = Job(f"/m/{TITLE}{MARKUP}", f"/m/{TITLE}", f"rows {LINK}", Plan(), "cpu", f"CPU {TITLE}", predicted=PREDICTED)
    made = RunFolder.create(job)
    folder = RunFolder(made.path.rename(made.path.with_name(name)))
    plan_file.write(folder.plan_file, replace(job, preset=PRESET))
    tell(folder, state)
    return folder


def tell(folder: RunFolder, state: str, result: str | None = None) -> None:
    """The events of a run of five steps."""
    log = EventLog(folder.events_file)
    log.write(RunStarted(step=0, total_steps=5, method=f"lora{TITLE}", device=f"cpu{TITLE}", train_rows=4))
    log.write(PhaseStarted(name=f"odd{TITLE}"))
    log.write(Evaluated(step=0, loss=2.0))
    for name, text in NASTY.items():
        log.write(Logged(level="error", text=f"{name}: {text}"))
    log.write(Sampled(step=0, prompt=f"asked {ALL}", text=f"before {ALL}"))
    log.write(PhaseStarted(name="train"))
    for step in range(1, 6):
        log.write(StepDone(step=step, total_steps=5, loss=2.0 - step / 10, tokens_per_second=100.0, eta_seconds=5.0))
    log.write(Sampled(step=5, prompt=f"asked {ALL}", text=f"after {ALL}"))
    log.write(Evaluated(step=5, loss=1.5))
    log.write(OutOfMemory(text=f"out of memory {TITLE}"))
    log.write(CheckpointSaved(step=5, path=f"checkpoints/{TITLE}"))
    Appender(folder.events_file).append({"event": TITLE, "text": TITLE})
    log.write(Calibrated(kept=False, reason=f"odd {TITLE}"))
    log.write(RunFinished(state=state, seconds=5.0, tokens_per_second=100.0, error=f"it {ALL}", result=result))
    log.close()
    with folder.log_file.open("a") as printed:
        printed.write(f"printed {ALL}\n")
