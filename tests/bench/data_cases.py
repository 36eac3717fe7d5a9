"""The outcome for every data file in a folder (read or refused, with which findings), and with every chat template."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from backend.data.chat.tally import Tally
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import tokenize_all
from backend.data.conversation import Example
from backend.data.formats import examples_of
from backend.data.inspect import inspect
from backend.data.reading.load import load
from backend.data.tokenizing import WHOLE
from backend.errors import UserError
from backend.model import find
from tests.backend.data.chat.families import FAMILIES, folder_of

MODEL_FILES = ("tokenizer.json", "chat_template.jinja", "config.json", "tokenizer_config.json", "tokenizer.model")
NO_DATA = ("README.md", "dataset_info.json", "state.json", "dataset_dict.json")
EXPECTED = ("few-rows",)
"""Kinds of findings that every small file has."""


class Outcome(NamedTuple):
    """The outcome for one file and one model."""

    name: str
    state: str
    """`read`, `refused` or `TRACEBACK`."""
    used: int
    refused: int
    said: str
    """Kinds of the findings, or the sentence of the refusal."""


def references(root: Path) -> list[Path]:
    """Every file of rows below `root`, and every folder that holds several of them, or splits."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not _is_of_model(path)]
    data = [path for path in files if path.name not in NO_DATA]
    folders = Counter(path.parent for path in data)
    several = [folder for folder, count in folders.items() if count > 1 and folder.parent != root and folder != root]
    splits = [path.parent for path in files if path.name in ("dataset_dict.json", "dataset_info.json")]
    return sorted({*data, *several, *splits})


def outcomes(root: Path, tiny: Path) -> Iterator[Outcome]:
    """Each with the models of its case, or else with the tiny one."""
    for path in references(root):
        case = root / path.relative_to(root).parts[0]
        models = sorted(x.parent for x in case.rglob("tokenizer.json")) if case.is_dir() else []
        for model in models or [tiny]:
            name = str(path.relative_to(root))
            yield outcome(path, model, f"{name} ({model.name})" if len(models) > 1 else name)


def outcome(path: Path, model: Path, name: str) -> Outcome:
    """The report on one file with one model."""
    try:
        report = inspect(str(path), model=find.find(str(model)))
    except UserError as error:
        return Outcome(name, "refused", 0, 0, str(error).replace(f"{path.parent}/", "").replace(str(path), path.name))
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return Outcome(name, "TRACEBACK", 0, 0, f"{type(error).__name__}: {error}")
    marks = {"stops": "STOP ", "warns": "warn ", "notes": ""}
    said = dict.fromkeys(marks[x.severity] + x.kind for x in report.findings if x.kind not in EXPECTED)
    return Outcome(name, "read", report.used_rows, report.refused_rows, ", ".join(said))


def table(found: list[Outcome]) -> Iterator[str]:
    """As Markdown, with a line of counts below."""
    yield "| file | | used | not used | findings, or why it is refused |\n|---|---|--:|--:|---|"
    for one in found:
        words = one.said.replace("|", "\\|")
        yield f"| {one.name} | {one.state} | {one.used:,} | {one.refused:,} | {words} |"
    counts = Counter(one.state for one in found)
    yield f"\n{len(found)} files and folders: " + ", ".join(f"{count} {state}" for state, count in counts.most_common())


def with_every_template(root: Path) -> Iterator[str]:
    """Every file with every chat template, those of the cases too; yields tracebacks, and then the counts."""
    tried = rows = refused = 0
    with tempfile.TemporaryDirectory() as name:
        tokenizers = {family: TextTokenizer.load(folder_of(Path(name), family)) for family in FAMILIES}
        of_cases = {path.parent for path in root.rglob("tokenizer.json")}
        tokenizers |= {str(folder.relative_to(root)): TextTokenizer.load(folder) for folder in sorted(of_cases)}
        for path in references(root):
            examples = _examples(path)
            for family, tokenizer in tokenizers.items() if examples else ():
                tally = Tally()
                try:
                    tokenize_all(examples, tokenizer, WHOLE, tally)
                except Exception as error:  # noqa: BLE001 - that is what is looked for
                    yield f"TRACEBACK {family} with {path.relative_to(root)}: {type(error).__name__}: {error}"
                tried, rows, refused = tried + 1, rows + len(examples), refused + tally.refused
    count = len(tokenizers)
    yield f"{tried:,} combinations of a file with one of {count} templates, {rows:,} of a row with a template:"
    yield f"{refused:,} rows refused in words"


def _examples(path: Path) -> list[Example]:
    with suppress(UserError):
        return examples_of(load(str(path))).examples[:50]
    return []


def _is_of_model(path: Path) -> bool:
    """Whether the file is in a model's folder."""
    return any((path.parent / name).exists() for name in MODEL_FILES[:2]) or path.name in MODEL_FILES
