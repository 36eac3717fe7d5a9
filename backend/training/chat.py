"""Chat with the model that a run trained, loaded as it was trained, with the adapter on or off."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from jinja2 import TemplateError

from backend.errors import TrainingFailed, UserError
from backend.plan.job import Job
from backend.run.folder import RunFolder
from backend.training import device, locate, methods, own_base, sample
from backend.training.failure import is_out_of_memory
from backend.training.forgetting.tokens import adapters_off
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.quiet import libraries_to

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_ANEW = "/reset begins a new one"
_ENDLESS = 1 << 30
Message = dict[str, str]
"""One turn: `role` and `content`."""


class Answer(NamedTuple):
    """What the model wrote."""

    text: str
    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """0 if nothing was written."""
        return self.tokens / self.seconds if self.seconds else 0.0


class Talk:
    """A run's result, ready to answer."""

    def __init__(self, folder: RunFolder) -> None:
        """Load the result of `folder`. Raises UserError if there is none, TrainingFailed if memory runs out."""
        job = folder.job()
        if not (folder.result / "config.json").is_file() and not (folder.result / ADAPTER_WEIGHTS).is_file():
            raise UserError(
                f"run {folder.name} has left no result to talk with yet; wait for its end, or stop it with a result",
                "run",
            )
        self.has_adapter = job.plan.method != "full"
        device.take(job)
        on = job.device if job.device == "cpu" or torch.cuda.is_available() else "cpu"
        self._execution = Execution(job.plan, on)
        with libraries_to(folder.log_file):
            try:
                self._network = _loaded(folder, job, self._execution)
            except (RuntimeError, MemoryError, OSError) as error:
                if not is_out_of_memory(error):
                    raise
                raise TrainingFailed(f"memory ran out while the result of {folder.name} was loaded") from None
            self._tokenizer = _tokenizer(folder.result)
        self._ends = sample.ends(self._network, self._tokenizer)
        self._log = folder.log_file

    def answer(self, messages: Sequence[Message], most_tokens: int, *, adapter: bool = True) -> Answer:
        """What the model says next, by greedy decoding.

        Raises UserError for a conversation that the model can't take, and TrainingFailed if memory runs out.
        """
        ids = self._ids(messages)
        most_tokens = min(most_tokens, self._room(ids.shape[1]))
        began = time.perf_counter()
        try:
            with libraries_to(self._log):
                written = self._generate(ids, most_tokens, adapter=adapter)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingFailed("memory ran out while the model answered; ask for fewer tokens") from None
        text = str(self._tokenizer.decode(written, skip_special_tokens=True)).strip()
        return Answer(text, len(written), time.perf_counter() - began)

    def memory_bytes(self) -> int:
        """Peak GPU memory allocated by torch so far; on a CPU the resident memory of this process now."""
        if self._execution.device == "cuda":
            return torch.cuda.max_memory_allocated()
        return int(psutil.Process().memory_info().rss)

    def _ids(self, messages: Sequence[Message]) -> torch.Tensor:
        """Token ids by the chat template; if the model has none, of the last message alone."""
        if self._tokenizer.chat_template:
            try:
                ids = self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
            except TemplateError as error:
                raise UserError(f"the chat template refuses this conversation: {error}; {_ANEW}", "run") from None
        else:
            ids = self._tokenizer(messages[-1]["content"])["input_ids"]
        return torch.tensor([ids], device=self._execution.device)

    def _room(self, asked: int) -> int:
        """Tokens that an answer may have. Raises UserError if there is no room for one."""
        config = self._network.config.get_text_config()
        context = getattr(config, "max_position_embeddings", None) or 0
        if context <= 0:  # it has no limit, or states none
            return _ENDLESS
        if asked >= context:
            raise UserError(f"the conversation has {asked:,} tokens, and the model takes {context:,}; {_ANEW}", "run")
        return int(context - asked)

    @torch.no_grad()
    def _generate(self, ids: torch.Tensor, most_tokens: int, *, adapter: bool) -> list[int]:
        from transformers import GenerationConfig

        pad = self._tokenizer.pad_token_id
        config = GenerationConfig(
            max_new_tokens=most_tokens,
            do_sample=False,
            use_cache=True,
            eos_token_id=self._ends,
            pad_token_id=0 if pad is None else pad,
        )
        plan, on = self._execution.plan, self._execution.device
        with nullcontext() if adapter else adapters_off(self._network), autocast(plan, on):
            written = self._network.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config
            )
        tokens: list[int] = written[0, ids.shape[1] :].tolist()
        return tokens


def _loaded(folder: RunFolder, job: Job, execution: Execution) -> Any:
    """The network in eval mode. The base is loaded as for training, 4-bit too."""
    if job.plan.method == "full":
        return methods.load(folder.result, str(folder.result), execution).network.eval()
    base = locate.model_folder(job, folder.path, lambda text: None)
    start = replace(own_base.start(job, base, folder.path), adapter=folder.result)
    return methods.load(base, locate.base_name(job, base), execution, start).network.eval()


def _tokenizer(result: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(result)
