"""Which GPU to rent: every known GPU, in the numbers that clouds offer, compared for this job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from backend import constants, units
from backend.answers import Answers, Method
from backend.data.report import DataReport
from backend.errors import UserError
from backend.hardware import catalogue
from backend.model.info import ModelInfo
from backend.plan.preset import Preset
from backend.planner import cost, device_names, devices, fit, rules
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.planner.estimates import Comparison, MethodEstimate


@dataclass(frozen=True)
class RentOffer:
    """One GPU, or several of a kind, for this job."""

    device: Device
    estimate: MethodEstimate | None
    """The method that is recommended on it; None if the offer is out."""
    out: str = ""
    """Why it is out (memory, money or time), in one sentence; empty if it can do the job."""

    @property
    def method(self) -> Method | None:
        """The recommended method."""
        return self.estimate.method if self.estimate else None

    @property
    def usd(self) -> float:
        """What the run is expected to cost; not a number if it is out."""
        return self.estimate.cost_usd.point if self.estimate and self.estimate.cost_usd else float("nan")

    @property
    def hours(self) -> float:
        """How long it is expected to take; not a number if it is out."""
        return self.estimate.hours.point if self.estimate else float("nan")

    @property
    def caveat(self) -> str:
        """A word or two on what sets it apart: several devices, ROCm, no bfloat16; empty for nothing."""
        if self.device.count > 1:
            return "not measured"
        if self.device.compute_capability is None:
            return "ROCm untried"
        return "" if self.device.bf16 else "float16"

    @property
    def trains_now(self) -> bool:
        """Whether the trainer runs on it: on NVIDIA GPUs; ROCm was not tried."""
        return self.device.compute_capability is not None

    @property
    def spec(self) -> str:
        """The offer as a value of `--gpu`."""
        return f"{self.device.name}:{self.device.count}" if self.device.count > 1 else self.device.name


@dataclass(frozen=True)
class RentJob:
    """What is to be trained, on a device that is looked for."""

    answers: Answers
    model: ModelInfo
    data: DataReport
    preset: Preset | None = None

    @property
    def wanted(self) -> Method | None:
        """The method that the user or the preset set."""
        method: Method | None = rules.pin(self.answers, self.preset).values.get("method")
        return method

    def on(self, device: Device) -> Comparison:
        """The three methods on `device`."""
        return compare(self.answers, device, self.model, self.data, self.preset, advise=False)


def offers(
    answers: Answers,
    model: ModelInfo,
    data: DataReport,
    preset: Preset | None = None,
) -> tuple[RentOffer, ...]:
    """Offers that can do the job, the cheapest first, then one for each GPU that can't.

    Every GPU of presets/gpus.toml is listed in the number that costs least, and in a larger number only if that is
    faster than all that cost less. A price given by the user holds for the GPU that `answers.gpu` names; the others
    have their dated prices. Raises UserError as `compare` does, if it does for every GPU.
    """
    job = RentJob(replace(answers, gpu=None, price_usd_per_hour=None), model, data, preset)
    counts = _counts(answers, preset)
    refusals: list[UserError] = []
    singles = [_offer_or_refusal(job, device, refusals) for device in _devices(answers, counts[0])]
    if len(refusals) == len(singles):
        raise refusals[0]
    latest = {single.device.name: single for single in singles}
    carried = [offer for offer in singles if offer.estimate]
    for single in sorted(singles, key=lambda x: x.usd):
        for count in counts[1:]:
            if _worth_looking(job, single, count, carried):
                seen = _offer_or_refusal(job, replace(single.device, count=count), refusals)
                latest[single.device.name] = seen
                carried += [seen] if seen.estimate else []
    kept = tuple(_undominated(sorted(carried, key=lambda x: (x.usd, x.hours))))
    names = {offer.device.name for offer in kept}
    return (*kept, *(offer for name, offer in latest.items() if name not in names))


def _counts(answers: Answers, preset: Preset | None) -> tuple[int, ...]:
    """The numbers of GPUs to look at; only one if the user set `processes`."""
    wanted = rules.pin(answers, preset).values.get("processes")
    return (wanted,) if wanted else constants.methods().rent.counts


def _devices(answers: Answers, count: int) -> Iterator[Device]:
    named = _named(answers)
    for spec in catalogue.specs():
        device = devices.from_catalogue(spec, count, (spec.note,) if spec.note else ())
        yield replace(device, price=cost.price(answers, device)) if spec.name == named else device


def _named(answers: Answers) -> str | None:
    """The GPU that the user named, if the user gave its price."""
    if answers.price_usd_per_hour is None or not answers.gpu:
        return None
    try:
        spec, _ = device_names.find(device_names.split_count(answers.gpu)[0])
    except UserError:  # the CPU of this box is not for rent
        return None
    return spec.name


def _offer_or_refusal(job: RentJob, device: Device, refusals: list[UserError]) -> RentOffer:
    """A setting that this GPU can't take, such as a kernel of newer ones, puts it out, and no other."""
    try:
        return _offer(job, device)
    except UserError as error:
        refusals.append(error)
        return RentOffer(device, None, str(error))


def _offer(job: RentJob, device: Device) -> RentOffer:
    seen = job.on(device)
    best = seen.methods[seen.recommended] if seen.recommended else None
    if best is None:
        return RentOffer(device, None, _why_out(seen, job.wanted))
    if best.cost_usd is None:
        return RentOffer(device, None, _no_price(best))
    return RentOffer(device, best)


def _why_out(seen: Comparison, wanted: Method | None) -> str:
    """Why the method that comes closest is out, in one sentence: memory, else money, else time."""
    answers = seen.answers
    looked_at = [x for x in seen.methods.values() if wanted in (None, x.method)]
    fitting = [x for x in looked_at if x.fit != "no"]
    if not fitting:
        least = min(looked_at, key=lambda x: x.least_bytes)
        needs = f"{'' if wanted else 'Even '}{rules.title(least.method)} needs {units.gib(least.least_bytes)}"
        room, count = units.gib(fit.available(seen.device)), seen.device.count
        return f"{needs} on each of {count}; each has {room}." if count > 1 else f"{needs} of its {room}."
    priced = [(x.cost_usd.point, x) for x in fitting if x.cost_usd]
    if priced and answers.budget_usd is not None and min(usd for usd, _ in priced) > answers.budget_usd:
        usd, best = min(priced, key=lambda pair: pair[0])
        return f"{rules.title(best.method)} costs about {units.usd(usd)}, over {units.usd(answers.budget_usd)}."
    fastest = min(fitting, key=lambda x: x.hours.point)
    took = units.duration(fastest.hours.point * 3600)
    return f"{rules.title(fastest.method)} takes about {took}, past {answers.deadline_hours or 0:g} h."


def _no_price(best: MethodEstimate) -> str:
    took = units.duration(best.hours.point * 3600)
    return f"No dated price; {rules.title(best.method)} would take {took}."


def _worth_looking(job: RentJob, single: RentOffer, count: int, carried: Iterable[RentOffer]) -> bool:
    """Whether `count` of them can be better than what was found, by bounds that are cheap to compute.

    `count` devices are at best `count` times as fast, at the same cost, and have at best `count` times the memory.
    """
    if single.device.price is None:
        return False
    if single.estimate is None or job.answers.shift == "deep":
        return True  # full fine-tuning is sharded: with more devices it may fit, or end in time
    hours, usd = single.hours / count, single.usd
    return not any(x.usd <= usd and x.hours <= hours for x in carried)


def _undominated(offers: Iterable[RentOffer]) -> Iterator[RentOffer]:
    """From offers in order of cost, the first of each GPU, and those faster than all cheaper ones of their method."""
    names: set[str] = set()
    fastest: dict[Method | None, float] = {}
    for offer in offers:
        if offer.device.name not in names or offer.hours < fastest.get(offer.method, float("inf")):
            yield offer
        names.add(offer.device.name)
        fastest[offer.method] = min(offer.hours, fastest.get(offer.method, float("inf")))
