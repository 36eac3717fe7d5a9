"""Blocks that differ within a model: the kinds of each block, by what config.json says of them.

A rule of presets/families.toml is one of

    list KEY ...                 the kind of each block is in the first of these keys that is there, a list or a text
    every KEY KIND OTHER         each KEY-th block is a KIND, any other an OTHER
    first KEY KIND OTHER         the first KEY blocks are a KIND, any other an OTHER
    numbers KEY KIND OTHER       the blocks whose numbers KEY lists are a KIND, any other an OTHER
    ernie                        Ernie's: sparse from `moe_layer_start_index` on, each `moe_layer_interval`-th
    step                         Qwen's: every `decoder_sparse_step`-th is sparse unless listed in `mlp_only_layers`

A rule whose key config.json lacks is skipped; if rules are joined as `a | b`, the first that applies counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SPARSE, DENSE = "sparse", "dense"
Config = Mapping[str, Any]


def tells_experts(rule: str) -> bool:
    """Whether a rule says which blocks have experts."""
    return SPARSE in rule or rule in ("step", "ernie")


def of_blocks(rules: Sequence[str], config: Config) -> tuple[tuple[str, ...], ...]:
    """The kinds of each block, one by each rule."""
    count = int(config["num_hidden_layers"])
    columns = [found for rule in rules if (found := _first(rule, config, count)) is not None]
    return tuple(tuple(column[at] for column in columns) for at in range(count))


def _first(rules: str, config: Config, count: int) -> list[str] | None:
    found = (_kinds(rule.split(), config, count) for rule in rules.split(" | "))
    return next((kinds for kinds in found if kinds is not None), None)


def _kinds(rule: Sequence[str], config: Config, count: int) -> list[str] | None:
    name, *words = rule
    if name == "list":
        said = next((config[key] for key in words if isinstance(config.get(key), list | str)), None)
        return [str(kind) for kind in said] if said is not None and len(said) == count else None
    if name == "step":
        return _by_step(config, count)
    if name == "ernie":
        return _from_to(config, count)
    number = config.get(words[0])
    if name == "numbers" and isinstance(number, list):
        return [words[1] if at in number else words[2] for at in range(count)]
    if not isinstance(number, int) or name == "numbers":
        return None
    if name == "first":
        return [words[1] if at < number else words[2] for at in range(count)]
    return [words[1] if (at + 1) % max(1, number) == 0 else words[2] for at in range(count)]


def _by_step(config: Config, count: int) -> list[str]:
    step, only = int(config.get("decoder_sparse_step") or 1), config.get("mlp_only_layers") or ()
    return [SPARSE if (at + 1) % step == 0 and at not in only else DENSE for at in range(count)]


def _from_to(config: Config, count: int) -> list[str]:
    start, end, interval = (int(config[f"moe_layer_{name}"]) for name in ("start_index", "end_index", "interval"))
    last = end if end >= 0 else count - 1
    return [SPARSE if (at + 1) % interval == 0 and start <= at <= last else DENSE for at in range(count)]
