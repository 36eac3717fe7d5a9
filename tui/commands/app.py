"""The tree of commands; each is imported when it runs."""

from __future__ import annotations

from typing import Annotated, get_args

from cyclopts import App, ArgumentCollection, Parameter

from backend.errors import wont_do

HELP = """Choose between LoRA, QLoRA and full fine-tuning for your GPU, data and budget, then train it.

Without a command it opens the wizard.

For example:

    fttui                                              # the wizard
    fttui plan --model 8b --gpu 4090 --rows 5000 --row-tokens 400 --budget 40
    fttui data rows.jsonl --row 0                      # what the model will see
    fttui train demo                                   # the demo, headless
    fttui train --model ./my-model --data rows.jsonl --method qlora --detach
    fttui watch                                        # the live screen of the latest run
"""

COMMANDS = {
    "plan": ("plan:plan", "Compare the three methods for a job, before the model is downloaded."),
    "data": ("data:data", "What is in the data, what would waste a run, and rows as the model sees them."),
    "train": ("train:train", "Train headless, from a preset or from options."),
    "sweep": ("sweep:sweep", "Try a small grid of settings under a budget; those that lose are ended early."),
    "watch": ("watch:watch", "The live screen of a run of any process, or its result."),
    "stop": ("control:stop", "Stop a run at its next step, with a checkpoint."),
    "pause": ("control:pause", "Pause a run: like stop, and listed as paused."),
    "checkpoint": ("control:checkpoint", "Write a checkpoint of a run at its next step."),
    "change": ("control:change", "Change the learning rate or the evaluations of a run while it trains."),
    "resume": ("train:resume", "Resume a paused, stopped or interrupted run."),
    "runs": ("runs:runs", "List the runs of this box."),
    "queue": ("queue:app", "Runs that wait for a GPU of this box."),
    "presets": ("presets:app", "Presets: named settings, shipped and your own."),
    "chat": ("chat:chat", "Talk with what a run trained, adapter on and off."),
    "export": ("export:export", "Export a result: merged, as GGUF, for a server, or as another trainer's config."),
    "launch": ("launch:launch", "Start a plan elsewhere: over SSH, by Slurm, SkyPilot, dstack, Kubeflow or torchrun."),
    "doctor": ("doctor:doctor", "What this box can do, and what is missing."),
}


def wizard(
    *,
    preset: str | None = None,
    adapter: str | None = None,
    add_tokens: str | None = None,
    ascii: Annotated[bool, Parameter(negative=())] = False,
    on: str | None = None,
) -> int:
    """Open the wizard.

    Args:
        preset: Start from this preset: a name, or a file.
        adapter: Train further from this adapter: a run's name, or an adapter's folder.
        add_tokens: Add the tokens in this file to the model: one a line, or a JSON list.
        ascii: Draw with ASCII characters only.
        on: ssh:HOST opens the wizard of that box here: its GPUs, its models and data, its runs.
    """
    if on is not None:
        from backend.launch.targets import ssh

        words = ["fttui", *(["--preset", preset] if preset is not None else []), *(["--ascii"] if ascii else [])]
        words += [
            x for key, value in (("--adapter", adapter), ("--add-tokens", add_tokens)) if value for x in (key, value)
        ]
        return ssh.call(ssh.host_of(on), words, terminal=True)
    from tui.process import run_wizard

    given = {key: value for key, value in (("adapter", adapter), ("add_tokens", add_tokens)) if value}
    return run_wizard(preset=preset, given=given, ascii=ascii or None)


def _refuse_fractions(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Raise UserError for `1.5` if the option takes a whole number: the parser would round it."""
    for argument in arguments:
        if int not in (argument.hint, *get_args(argument.hint)):
            continue
        for token in argument.tokens:
            if "." in token.value and _is_fraction(token.value):
                raise wont_do((token.keyword or argument.name).removeprefix("--"), token.value, "a whole number")


def _is_fraction(word: str) -> bool:
    try:
        return not float(word).is_integer()
    except ValueError:  # no number at all: the parser says so
        return False


def app_for(command: str | None = None) -> App:
    """The commands, each with a line of help; `command`, the one that runs, has the help of its docstring."""
    app = App(
        name="fttui",
        help=HELP,
        help_format="plaintext",
        version_flags=["--version"],
        version="0.1.0",
        config=(_refuse_fractions,),
    )
    if command is None or command.startswith("-"):  # any other word must be a command
        app.default(wizard)
    for place, (name, (target, line)) in enumerate(COMMANDS.items()):
        help_text = None if name == command else line
        app.command(f"tui.commands.{target}", name=name, help=help_text, sort_key=place)
    return app
