"""Shell text in which outside names are safely quoted, and YAML around it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from backend.launch.targets.spec import PLAN, TOKENS, LaunchSpec

END = "END_OF_FILE"
PLANNED_BY = "planned by fttui for"
"""In the first comment of every launch file."""


def quoted(word: str) -> str:
    """`word` for a POSIX shell; `$(` and `${`, which some engines replace in their files, are taken apart."""
    return shlex.quote(word).replace("$(", "$''(").replace("${", "$''{")


def joined(words: Iterable[str]) -> str:
    """A command line."""
    return " ".join(map(quoted, words))


def comment(text: str) -> str:
    """A comment line: outside text in it stays on its line."""
    return "# " + "".join(c if c.isprintable() else "\ufffd" for c in text)


def install(spec: LaunchSpec, folder: str) -> list[str]:
    """Lines that make an environment in `folder` (a shell expression in double quotes) unless fttui is there."""
    return [
        "if ! command -v fttui >/dev/null; then",
        f'  [ -x "{folder}/bin/fttui" ] || {{ python3 -m venv --system-site-packages "{folder}"; '
        f'"{folder}/bin/pip" install --quiet {joined(spec.requirements)}; }}',
        f'  export PATH="{folder}/bin:$PATH"',
        "fi",
    ]


def write_files(spec: LaunchSpec) -> list[str]:
    """Lines that write the plan, and what goes with it, into $FTTUI_HOME."""
    lines = ['mkdir -p "$FTTUI_HOME"']
    for name, text in spec.files.items():
        lines += [f"cat > \"$FTTUI_HOME/{name}\" <<'{END}'", *text.rstrip("\n").split("\n"), END]
    return lines


def train(spec: LaunchSpec, inputs: str | None) -> str:
    """The command that trains by the plan in $FTTUI_HOME, and goes on if it is started again."""
    tokens = f' --add-tokens "$FTTUI_HOME/{TOKENS}"' if TOKENS in spec.files else ""
    return f'fttui train "$FTTUI_HOME/{PLAN}" --or-resume {joined(spec.train_options(inputs))}{tokens}'


def block(lines: Iterable[str], indent: int) -> str:
    """Lines as a YAML value: a block if they are printable, else a string in which everything else is escaped."""
    text = "\n".join(lines) + "\n"
    rows = text.rstrip("\n").split("\n")
    if all(row.isprintable() for row in rows) and not rows[0].startswith(" "):
        return "|\n" + "\n".join(" " * indent + row if row else "" for row in rows)
    return json.dumps(text)


def head(spec: LaunchSpec, engine: str, *more: str) -> list[str]:
    """Comment lines: what the file is for, and what was predicted."""
    job, said = spec.job, spec.job.predicted
    lines = [f"{job.plan.method} of {job.model} on {job.data}, {PLANNED_BY} {job.device_name}, for {engine}"]
    if said and said.hours is not None:
        range_ = f" ({said.hours_low:.2g} to {said.hours_high:.2g})" if said.hours_low and said.hours_high else ""
        money = f", {said.cost_usd:.2f} USD" if said.cost_usd is not None else ""
        lines.append(f"predicted: {said.hours:.2g} hours{range_}{money}")
    return [comment(line) for line in (*lines, *more)]
