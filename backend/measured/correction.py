"""How finished runs on this box correct its predictions, component by component.

Memory is corrected by all runs of a device, with more weight on those of the same method; speed by runs of the same
method only, since methods run different kernels. Runs under another torch or transformers count for less, and so do
runs of a model of another size, the less the more the sizes differ; a much smaller model never lowers a peak, because
what it leaves unused is not what a large one needs. The fewer the runs, the smaller the correction, and each
component's has a limit (presets/calibration.toml).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from backend import constants
from backend.answers import Method

PEAKS = ("resident", "transient", "slack", "loading")
RATIOS = ("resident", "transient", "slack", "loading", "overhead")
Weighted = list[tuple[float, float]]
"""Values with their weights."""


@dataclass(frozen=True)
class Run:
    """One finished run, component by component: measured over predicted; None for what it did not measure."""

    method: Method
    parameters: int
    """Parameters of its model."""
    old: bool = False
    """It ran under another torch or transformers than the one that is installed."""
    resident: float | None = None
    transient: float | None = None
    slack: float | None = None
    loading: float | None = None
    overhead: float | None = None
    speed: float | None = None
    flops_per_second: float | None = None
    """Operations per token by the formulas, times the measured tokens per second."""
    fixed_bytes: int | None = None
    """Measured minus predicted bytes of the CUDA context or the interpreter."""
    predicted_fixed_bytes: int = 0


@dataclass(frozen=True)
class Correction:
    """Corrects one method's predictions by ratios of measured over predicted; the default changes nothing."""

    speed: float = 1.0
    """Tokens per second."""
    runs: int = 0
    """Runs of this method that `speed` comes from."""
    confidence: float = 1.0
    """0 to 1: how far the interval of the speed narrows from the estimate's to that of the runs."""
    agreement: float = 1.0
    """The runs' speeds differ by up to this factor from their median."""
    memory_runs: int = 0
    """Runs, of any method, that the memory ratios come from."""
    resident: float = 1.0
    """Weights, adapters and optimizer states. 1 on a CPU, where the rest of the process can't be separated."""
    transient: float = 1.0
    """Activations, logits, gradients, copies, workspace; on a CPU the allocator's slack with them."""
    slack: float = 1.0
    """The allocator's slack, over what is predicted from the corrected transient memory. 1 on a CPU."""
    loading: float = 1.0
    """The peak of loading."""
    fixed_bytes: int = 0
    """Added to the CUDA context, or to the interpreter with its libraries."""
    overhead: float = 1.0
    """Seconds of starting, loading and saving."""
    flops_per_second: float = 0.0
    """Rate that this method's steps reached, used if the device's speed is not known. 0 without runs."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The finished runs of one device, the oldest first. Compared by identity, so that hashing a device stays cheap."""

    runs: tuple[Run, ...]
    _known: dict[tuple[Method, int], Correction] = field(default_factory=dict, init=False, repr=False)
    """Corrections that were asked for before: a comparison asks for each thousands of times."""

    def of(self, method: Method, parameters: int) -> Correction:
        """The correction of `method` for a model of `parameters`."""
        key = (method, parameters)
        if key not in self._known:
            self._known[key] = self._correction(method, parameters)
        return self._known[key]

    def _correction(self, method: Method, parameters: int) -> Correction:
        runs = [_for_size(run, parameters) for run in self.runs if _weight(run, parameters)]
        weights = [_weight(run, parameters) for run in runs]
        own = [weight if run.method == method else 0.0 for run, weight in zip(runs, weights, strict=True)]
        mixed = [
            weight if run.method == method else weight * _unlike() for run, weight in zip(runs, weights, strict=True)
        ]
        speeds = _pairs(runs, own, lambda run: run.speed)
        fixed = _pairs(runs, mixed, lambda run: run.fixed_bytes)
        reached = _pairs(runs, own, lambda run: run.flops_per_second)
        known = speeds or reached
        most = _limit("fixed_fraction") * max((run.predicted_fixed_bytes for run in runs), default=0)
        return Correction(
            speed=_ratio(runs, own, "speed"),
            runs=len(known),
            confidence=_confidence(known),
            agreement=_agreement(known),
            memory_runs=sum(run.transient is not None for run in runs),
            fixed_bytes=round(_clamped(_believed(fixed), most)),
            flops_per_second=_median(reached) if reached else 0.0,
            **{name: _ratio(runs, mixed, name) for name in RATIOS},
        )


def _weight(run: Run, parameters: int) -> float:
    """How much a run counts for a model of this size, whatever its method; 0 if the sizes are too different."""
    table = constants.calibration().weight
    small, large = sorted((max(1, run.parameters), max(1, parameters)))
    if large > table.most_parameters * small:
        return 0.0
    steps = math.log(large / small, table.like_parameters)
    return float(_unlike() ** (run.old + (steps if steps > 1 else 0.0)))


def _for_size(run: Run, parameters: int) -> Run:
    """`run` as it applies to a model of this size: a run of a much smaller model may raise a peak but not lower it."""
    if run.parameters * constants.calibration().weight.like_parameters >= parameters:
        return run
    raised = {name: max(1.0, ratio) for name in PEAKS if (ratio := getattr(run, name)) is not None}
    return replace(run, fixed_bytes=max(0, run.fixed_bytes) if run.fixed_bytes is not None else None, **raised)


def _ratio(runs: Sequence[Run], weights: Sequence[float], name: str) -> float:
    logs = [(math.log(x), w) for x, w in _pairs(runs, weights, lambda run: getattr(run, name))]
    return math.exp(_clamped(_believed(logs), math.log(_limit(name))))


def _pairs(runs: Sequence[Run], weights: Sequence[float], of_run: Callable[[Run], float | None]) -> Weighted:
    """The values that runs have, with the runs' weights, without weights of 0."""
    values = zip(map(of_run, runs), weights, strict=True)
    return [(value, weight) for value, weight in values if value is not None and weight]


def _believed(pairs: Weighted) -> float:
    """The weighted median, drawn towards 0 (no correction) if there are few runs."""
    return _median(pairs) * _confidence(pairs) if pairs else 0.0


def _confidence(pairs: Weighted) -> float:
    """0 without runs, towards 1 with many."""
    weight = sum(weight for _, weight in pairs)
    return weight / (weight + constants.calibration().weight.prior)


def _median(pairs: Weighted) -> float:
    """The weighted median: half of the weight is on either side; the mean of two values if it falls between them."""
    ordered = sorted(pairs)
    half, below = sum(weight for _, weight in pairs) / 2, 0.0
    for i, (value, weight) in enumerate(ordered):
        below += weight
        if math.isclose(below, half) and i + 1 < len(ordered):
            return (value + ordered[i + 1][0]) / 2
        if below > half:
            return value
    return ordered[-1][0]


def _agreement(speeds: Weighted) -> float:
    """The largest factor between a run's speed and their median."""
    middle = _median(speeds) if speeds else 1.0
    return max((max(speed / middle, middle / speed) for speed, _ in speeds), default=1.0)


def _clamped(value: float, most: float) -> float:
    return max(-most, min(most, value))


def _unlike() -> float:
    return constants.calibration().weight.unlike


def _limit(name: str) -> float:
    return float(getattr(constants.calibration().limits, name))
