"""A causal language model's shape: enough for exact parameter counts and for the memory formulas. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

HEAD = "lm_head"
"""What `target_modules` calls the output head."""


@dataclass(frozen=True)
class Linear:
    """One linear layer of a transformer block."""

    name: str
    """The module's name within its block, such as `q_proj`."""
    inputs: int
    outputs: int
    bias: bool = False

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
    """The linear layers of ONE block (experts counted in `expert_linears`)."""
    norm_parameters: int
    """Parameters of all norms and other vectors together, the last norm included."""
    experts: int = 0
    experts_per_token: int = 0
    expert_linears: tuple[Linear, ...] = ()
    """The matrices of ONE expert of one block: slices of fused parameters, which neither LoRA nor NF4 is applied to."""
    router_parameters: int = 0
    """Parameters of all routers together."""
    sliding_window: int | None = None
    license: str = ""
    instruct: bool = False
    """Whether it is tuned for chat already."""
    attention: tuple[str, ...] = ()
    """The attention implementations that transformers has for the family, the plainest first; empty if it has all."""

    @cached_property
    def block_linear_parameters(self) -> int:
        """Weights and biases of every linear layer in all blocks, experts included."""
        dense = sum(x.weights + x.bias * x.outputs for x in self.linears)
        expert = sum(x.weights + x.bias * x.outputs for x in self.expert_linears)
        return self.layers * (dense + self.experts * expert)

    @cached_property
    def quantizable_parameters(self) -> int:
        """Weights that NF4 quantises: the linear modules of all blocks.

        Not biases, and not experts: transformers 5 holds them in fused 3-D parameters, which bitsandbytes ignores.
        """
        return self.layers * sum(x.weights for x in self.linears)

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
        return self.block_linear_parameters + embeddings + self.norm_parameters + self.router_parameters

    @cached_property
    def matmul_parameters_per_token(self) -> int:
        """Weights that multiply each token: block linears (active experts only), routers, head; no input embedding."""
        dense = sum(x.weights for x in self.linears)
        expert = sum(x.weights for x in self.expert_linears)
        blocks = self.layers * (dense + self.experts_per_token * expert)
        return blocks + self.router_parameters + self.vocab * self.hidden

    def lora_targets(self, target_modules: str) -> tuple[Linear, ...]:
        """The linears of one block that carry an adapter under this plan field (experts carry none)."""
        wanted = {name.strip() for name in target_modules.split(",")}
        return tuple(x for x in self.linears if x.name in wanted or "all-linear" in wanted)

    def lora_parameters(self, rank: int, target_modules: str = "all-linear") -> int:
        """Trainable parameters of LoRA: rank x (inputs + outputs) a linear, the head's too if it is listed."""
        blocks = self.layers * sum(rank * (x.inputs + x.outputs) for x in self.lora_targets(target_modules))
        has_head = HEAD in {name.strip() for name in target_modules.split(",")}
        return blocks + has_head * rank * (self.hidden + self.vocab)
