"""A model's tensors under the names, and in the shapes, that transformers gives them when it loads the files.

Some families' files use other layer names than the model, or hold several layers as one matrix (`attn.gqkv_proj` for
`self_attn.q_proj` and three more). The conversion is read from the source text of transformers' conversion_mapping.py,
without importing it: every renaming, then at most one conversion. The tensors of single experts stay as they are
stored: which of them a block has is known without that.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from backend.model import architectures, headers
from backend.model.config import text_part
from backend.model.family import Config

Shapes = dict[str, tuple[int, ...]]
_FILE = "conversion_mapping.py"
_RENAMING, _CONVERTER = "WeightRenaming", "WeightConverter"
_OF_ONE_EXPERT, _NUMBERED = ".experts.", re.compile(r"\.experts\.\d+\.")
_GROUP = re.compile(r"\\(\d)")


@dataclass(frozen=True)
class Step:
    """A renaming, or a conversion of one matrix into several or of several into one."""

    kind: str
    sources: tuple[str, ...]
    """Regular expressions, the longest first; `*` stands for the number of an expert."""
    targets: tuple[str, ...]
    operations: tuple[tuple[str, int], ...] = ()
    """Name and dimension."""

    def match(self, name: str) -> re.Match[str] | None:
        """Where the first source is that is found in `name`; None if none is."""
        return next((found for source in self.sources if (found := _pattern(source).search(name))), None)


def of_folder(folder: Path, config: Config) -> Shapes:
    """Every tensor in `folder`; integers and other things that are no weights too."""
    return convert({name: tuple(x["shape"]) for name, x in headers.tensors(folder).items()}, config)


def convert(stored: Mapping[str, tuple[int, ...]], config: Config) -> Shapes:
    """`stored` as a model of this configuration holds them."""
    steps = [step for name in _identifiers(config) for step in steps_of(name)]
    found: Shapes = {}
    for name, shape in stored.items():
        if _OF_ONE_EXPERT in name and _NUMBERED.search(name):
            found[name] = shape
            continue
        for step in steps:
            if step.kind == _RENAMING and (match := step.match(name)):
                name = _renamed(name, match, step.targets[0])
        for new, sizes, joined in _converted(name, shape, steps):
            before = found.get(new) if joined is not None else None
            found[new] = _joined(before, sizes, joined or 0) if before else sizes
    return found


def model_types(config: Config) -> tuple[str, ...]:
    """Those of the whole and of its parts."""
    parts = [config, *(x for x in config.values() if isinstance(x, Mapping)), text_part(config)]
    return tuple(dict.fromkeys(str(part.get("model_type") or "") for part in parts))


def _identifiers(config: Config) -> list[str]:
    """What transformers looks a conversion up by: model types and the class."""
    kinds = config.get("architectures")
    return [*model_types(config), *(map(str, kinds) if isinstance(kinds, list) else ())]


@cache
def steps_of(name: str) -> tuple[Step, ...]:
    """The steps for a model type or a class; none if it has none, or if transformers is not here to ask."""
    text = architectures.source(_FILE)
    alias = re.search(rf'\n    "{re.escape(name)}": "([\w.-]+)",', text)
    key = re.escape(alias[1] if alias else name)
    block = re.search(rf'\n        "{key}": (\[.*?\]),\n(?=        ["#]|    \}})', text, re.DOTALL) if name else None
    return tuple(_steps(block[1])) if block else ()


def _steps(text: str) -> Iterator[Step]:
    try:
        entries = ast.parse(text, mode="eval").body
    except SyntaxError:
        return
    for entry in entries.elts if isinstance(entries, ast.List) else ():
        if (
            isinstance(entry, ast.Call)
            and isinstance(entry.func, ast.Name)
            and entry.func.id in (_RENAMING, _CONVERTER)
        ):
            given = dict(zip(("source_patterns", "target_patterns", "operations"), entry.args, strict=False))
            given |= {word.arg: word.value for word in entry.keywords if word.arg}
            try:
                sources, targets = (_texts(given[key]) for key in ("source_patterns", "target_patterns"))
                sources = tuple(sorted(sources, key=lambda source: (-len(_pattern(source).pattern), source)))
                yield Step(entry.func.id, sources, targets, tuple(_operations(given.get("operations"))))
            except (KeyError, ValueError, re.error):  # another version's notation
                continue


def _texts(node: ast.expr) -> tuple[str, ...]:
    said: Any = ast.literal_eval(node)
    return (said,) if isinstance(said, str) else tuple(map(str, said))


def _operations(node: ast.expr | None) -> Iterator[tuple[str, int]]:
    for call in node.elts if isinstance(node, ast.List) else ():
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            said = next((word.value for word in call.keywords if word.arg == "dim"), None)
            yield call.func.id, int(ast.literal_eval(said)) if said is not None else 0


@cache
def _pattern(source: str) -> re.Pattern[str]:
    """The pattern as transformers reads it: it has to end where a name ends."""
    text = source.replace("*.", r".*\.")
    return re.compile(text + r"(?!\w)" if text[-1:].isalnum() else text)


def _renamed(name: str, match: re.Match[str], target: str) -> str:
    plain = _GROUP.sub(lambda group: match.group(int(group[1])) or "", target).replace("\\.", ".")
    return name.replace(match.group(0), plain, 1)


def _converted(
    name: str, shape: tuple[int, ...], steps: list[Step]
) -> Iterator[tuple[str, tuple[int, ...], int | None]]:
    """Name, shape and the dimension along which others of that name are joined to it; None if none are."""
    matches = ((step, match) for step in steps if step.kind == _CONVERTER and (match := step.match(name)))
    step, match = next(matches, (None, None))
    if step is None or match is None or any("*" in source for source in step.sources):
        yield name, shape, None
        return
    dim = step.operations[-1][1] if step.operations else 0
    count = len(step.targets)
    if count > 1 and dim < len(shape):
        for target in step.targets:
            yield _renamed(name, match, target), (*shape[:dim], shape[dim] // count, *shape[dim + 1 :]), None
    else:
        yield _renamed(name, match, step.targets[0]), shape, dim if len(step.sources) > 1 else None


def _joined(one: tuple[int, ...], other: tuple[int, ...], dim: int) -> tuple[int, ...]:
    if len(one) != len(other) or dim >= len(one):
        return other
    return (*one[:dim], one[dim] + other[dim], *one[dim + 1 :])
