"""Reads a command line as lm-eval or lighteval do: `evaluator_args.py lm_eval|lighteval ARGUMENTS...`.

Runs in an environment with both (lm-eval 0.4.13, lighteval 0.13); their heavy requirements are replaced by stand-ins,
as only their own argument parsers run. Prints what they would load and the task.
"""

import importlib.abc
import importlib.machinery
import sys
from typing import Any
from unittest.mock import MagicMock

HEAVY = (
    *("inspect_ai", "nltk", "sacrebleu", "rouge_score", "sklearn", "scipy", "openai", "evaluate", "sqlitedict"),
    *(
        "sympy",
        "emoji",
        "jieba",
        "pyvi",
        "spacy",
        "litellm",
        "tensorboardX",
        "wandb",
        "more_itertools",
        "tqdm_multiprocess",
    ),
)


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """An empty module for each heavy requirement that is not installed."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] not in HEAVY:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__version__ = [], spec, "0"
        return module

    def exec_module(self, module: Any) -> None:
        """Nothing to run."""


def main() -> None:
    """Read the arguments and print what they mean."""
    sys.meta_path.append(_StandIn())
    sys.argv = sys.argv[1:]
    print((lm_eval if sys.argv[0] == "lm_eval" else lighteval)())


def lm_eval() -> dict[str, Any]:
    """By lm-eval's own command line."""
    from lm_eval._cli import HarnessCLI

    read = HarnessCLI().parse_args()
    return {"model": read.model, **read.model_args, "tasks": read.tasks}


def lighteval() -> dict[str, Any]:
    """By lighteval's own types of arguments, its model's configuration and its list of tasks."""
    import typer
    from lighteval import cli_args
    from lighteval.models.transformers.transformers_model import TransformersModelConfig
    from lighteval.tasks.tasks import gsm8k

    found: dict[str, Any] = {}
    app = typer.Typer()

    @app.callback()
    def whole() -> None:
        pass

    @app.command()
    def accelerate(model_args: cli_args.model_args.type, tasks: cli_args.tasks.type) -> None:
        config = TransformersModelConfig(**TransformersModelConfig._parse_args(model_args))
        name, examples = tasks.split("|")
        if name not in [task.name for task in gsm8k.TASKS_TABLE]:
            raise SystemExit(f"lighteval has no task {name}")
        found.update(model_name=config.model_name, task=name, examples=int(examples))

    app(standalone_mode=False)
    return found


if __name__ == "__main__":
    main()
