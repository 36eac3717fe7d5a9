"""A causal language model's shape: enough for exact parameter counts and for the memory formulas. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

HEAD = "lm_head"
"""What `target_modules` calls the output head."""

HEADS = (HEAD, "embed_out")
"""Last names of the output head."""

OF_EXPERTS = frozenset(("gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"))
"""In a mixture of experts these are names of the experts, which get no adapter. Shared experts and dense layers with
these names get none either, as peft takes them for experts."""


def is_embedding(name: str) -> bool:
    """Whether a module of this last name is the input embedding."""
    return ("embed" in name or name == "wte") and name not in HEADS


@dataclass(frozen=True)
class Linear:
    """One linear layer of a transformer block."""

    name: str
    """The module's name within its block, such as `q_proj`."""
    inputs: int
    outputs: int
    bias: bool = False
    blocks: int | None = None
    """How many of the model's blocks have it; None if all do."""

    @property
    def weights(self) -> int:
        """Elements of the weight matrix."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a dense (or mixture-of-experts) decoder. Counts are elements, lengths tokens."""

    name: str
    family: str
    """`model_type` of config.json: llama, qwen2, qwen3, mistral, gemma2, gemma3_text, phi3 ..."""
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    """Width of the MLP that one token passes; for a mixture of experts that of all its active experts together."""
    vocab: int
    tied: bool
    """Whether input embedding and head share their weights."""
    context: int
    linears: tuple[Linear, ...]
    """The linear layers of ONE block (experts counted in `expert_linears`); of all kinds of block if they differ."""
    norm_parameters: int
    """Parameters of all norms and other vectors together, the last norm included."""
    experts: int = 0
    experts_per_token: int = 0
    expert_linears: tuple[Linear, ...] = ()
    """The matrices of ONE expert of one block: slices of fused parameters, which neither LoRA nor NF4 is applied to."""
    expert_blocks: int | None = None
    """How many of the blocks have experts; None if all do."""
    router_parameters: int = 0
    """Parameters of all routers together."""
    other_parameters: int = 0
    """Parameters in the files besides those counted above, such as a vision tower; never quantised. Negative if a
    family that is not in the table has fewer parameters than a Llama of its sizes."""
    frozen_parameters: int = 0
    """The part of `other_parameters` that text never reaches (a vision tower), and that does not train."""
    sliding_window: int | None = None
    license: str = ""
    instruct: bool = False
    """Whether it is tuned for chat already."""
    added_tokens: int = 0
    """The rows of `vocab` that are for new tokens; with an adapter only these rows train."""
    whole_modules: tuple[tuple[str, int], ...] = ()
    """Last name and parameters of embedding, head and norms as the files name them; empty if they are not here."""
    attention: tuple[str, ...] = ()
    """The attention implementations that transformers has for the family, the plainest first; empty if it has all."""

    @cached_property
    def block_linear_parameters(self) -> int:
        """Weights and biases of every linear layer in all blocks, experts included."""
        dense = sum(self.blocks_of(x) * (x.weights + x.bias * x.outputs) for x in self.linears)
        expert = sum(x.weights + x.bias * x.outputs for x in self.expert_linears)
        return dense + self._blocks_with_experts * self.experts * expert

    @cached_property
    def quantizable_parameters(self) -> int:
        """Weights that NF4 quantises: the linear modules of all blocks.

        Not biases, and not experts: transformers 5 holds them in fused 3-D parameters, which bitsandbytes ignores.
        """
        return sum(self.blocks_of(x) * x.weights for x in self.linears)

    @cached_property
    def embedding_parameters(self) -> int:
        """The input embedding."""
        return self.vocab * self.hidden

    @cached_property
    def head_parameters(self) -> int:
        """The output head's own weights: 0 if tied."""
        return 0 if self.tied else self.vocab * self.hidden

    @cached_property
    def parameters(self) -> int:
        """All parameters."""
        embeddings = self.embedding_parameters + self.head_parameters
        blocks = self.block_linear_parameters + self.norm_parameters + self.router_parameters
        return blocks + embeddings + self.other_parameters

    @cached_property
    def matmul_parameters_per_token(self) -> int:
        """Weights that multiply each token: block linears (active experts only), routers, head; no input embedding."""
        dense = sum(self.blocks_of(x) * x.weights for x in self.linears)
        expert = sum(x.weights for x in self.expert_linears)
        blocks = dense + self._blocks_with_experts * self.experts_per_token * expert
        return blocks + self.router_parameters + self.vocab * self.hidden

    @property
    def _blocks_with_experts(self) -> int:
        return self.layers if self.expert_blocks is None else self.expert_blocks

    def blocks_of(self, linear: Linear) -> int:
        """How many blocks have this layer."""
        return self.layers if linear.blocks is None else linear.blocks

    def lora_targets(self, target_modules: str) -> tuple[Linear, ...]:
        """The linears of one block that carry an adapter under this plan field (experts carry none)."""
        wanted = {name.strip() for name in target_modules.split(",")}
        named = (x for x in self.linears if x.name in wanted or "all-linear" in wanted)
        return tuple(x for x in named if not self.experts or x.name not in OF_EXPERTS)

    def lora_parameters(self, rank: int, target_modules: str = "all-linear") -> int:
        """Trainable parameters of LoRA: rank x (inputs + outputs) a linear, the head's too if it is listed."""
        targets = self.lora_targets(target_modules)
        blocks = sum(self.blocks_of(x) * rank * (x.inputs + x.outputs) for x in targets)
        return blocks + _lists_head(target_modules) * rank * (self.hidden + self.vocab)

    def dora_parameters(self, target_modules: str = "all-linear") -> int:
        """Trained lengths of DoRA: one for each output of a linear that carries an adapter."""
        blocks = sum(self.blocks_of(x) * x.outputs for x in self.lora_targets(target_modules))
        return blocks + _lists_head(target_modules) * self.vocab


def _lists_head(target_modules: str) -> bool:
    return HEAD in {name.strip() for name in target_modules.split(",")}
