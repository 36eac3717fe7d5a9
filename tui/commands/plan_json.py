"""The comparison as the JSON object of `fttui plan --json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec

from backend import kept_names
from backend.answers import METHODS, Method
from backend.data.preflight.used import used
from backend.planner import cost
from backend.planner.device import Pool
from backend.planner.estimates import Comparison, Interval, MethodEstimate
from backend.planner.rent import RentOffer
from backend.trial.found import TrialResult
from tui import findings
from tui.commands import dry_run
from tui.plain import in_json


def encode(
    comparison: Comparison,
    offers: Sequence[RentOffer] | None = None,
    found: Mapping[Method, dry_run.Checked] | None = None,
    tried: Mapping[Method, TrialResult] | None = None,
) -> str:
    """One JSON object, indented; an unknown figure is null.

    `offers`, GPUs to rent, become `rent`; `found`, results of dry runs, `dry_run`; `tried`, results of trials, `trial`.
    """
    whole = as_object(comparison)
    if offers is not None:
        whole["rent"] = [_offer(offer) for offer in offers]
    if found is not None:
        whole["dry_run"] = dry_run.as_object(found)
    if tried is not None:
        whole["trial"] = kept_names.outside({method: dataclasses.asdict(seen) for method, seen in tried.items()})
    return in_json(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())


def as_object(comparison: Comparison) -> dict[str, object]:
    """Plain dictionaries and lists; intervals are NAME, NAME_low and NAME_high."""
    return {
        "hardware": _hardware(comparison),
        "price": _price(comparison),
        "calibration": _calibration(comparison),
        "model": _model(comparison),
        "data": _data(comparison),
        "recommended": comparison.recommended,
        "reasons": list(comparison.reasons),
        "notes": list(comparison.notes),
        "methods": {method: _estimate(seen) for method, seen in comparison.methods.items()},
    }


def _hardware(comparison: Comparison) -> dict[str, object]:
    device = comparison.device
    known = dataclasses.asdict(dataclasses.replace(device, calibration=None, pool=_plain(device.pool)))
    del known["calibration"]
    known["nodes"] = device.nodes
    known["price_usd_per_hour"] = device.price.typical if device.price else None
    return known


def _plain(pool: Pool | None) -> Pool | None:
    """`pool` without the devices that could be used but are not."""
    return pool and dataclasses.replace(pool, others=None, whole=None)


def _calibration(comparison: Comparison) -> dict[str, object] | None:
    """What this box's finished runs change, by method and component; null if there are none."""
    device, parameters = comparison.device, comparison.model.shape.parameters
    if device.calibration is None:
        return None
    by_method = {method: dataclasses.asdict(device.correction(method, parameters)) for method in METHODS}
    return {"runs": len(device.calibration.runs), "methods": kept_names.outside(by_method)}


def _price(comparison: Comparison) -> dict[str, object]:
    """The price from which costs are computed: one device for one hour."""
    rate = cost.price(comparison.answers, comparison.device)
    return {"usd_per_hour": rate.typical if rate else None, "source": rate.source if rate else None}


def _model(comparison: Comparison) -> dict[str, object]:
    model, shape = comparison.model, comparison.model.shape
    return {
        "reference": model.reference,
        "name": shape.name,
        "kind": model.kind,
        "family": shape.family,
        "parameters": shape.parameters,
        "hidden": shape.hidden,
        "layers": shape.layers,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate": shape.intermediate,
        "vocab": shape.vocab,
        "tied": shape.tied,
        "context": shape.context,
        "license": shape.license,
        "weight_bytes": model.weight_bytes,
        "download_bytes": model.download_bytes,
        "has_weights": model.has_weights,
        "adapter": str(model.adapter.folder) if model.adapter else None,
        "added_tokens": len(model.added_tokens),
    }


def _data(comparison: Comparison) -> dict[str, object]:
    data = comparison.data
    length = next(iter(comparison.methods.values())).plan.max_length
    cut, what = data.cut(length), used(data, length)
    return {
        "reference": data.reference,
        "format": data.format,
        "mapping": dict(data.mapping),
        "rows": data.rows,
        "tokens": data.tokens,
        "scored_tokens": data.scored_tokens,
        "exact": data.exact,
        "max_length": length,
        "truncated_rows": cut.truncated_rows,
        "truncated_fraction": cut.truncated_rows / data.rows if data.rows else 0.0,
        "length_percentiles": {str(q): data.percentile(q) for q in (50, 90, 99, 100)},
        "empty_rows": data.empty_rows,
        "duplicate_rows": data.duplicate_rows,
        "used_rows": what.rows,
        "refused_rows": data.all_rows - what.rows,
        "unused_columns": list(data.unused_columns),
        "problems": [found.text for found in comparison.findings if found.severity != "notes"],
        "findings": findings.objects(comparison.findings),
    }


def _estimate(seen: MethodEstimate) -> dict[str, object]:
    return {
        "fits": seen.fit != "no",
        "fit": seen.fit,
        "peak_bytes": seen.memory.peak_bytes,
        "peak_allocated_bytes": seen.memory.peak_allocated_bytes,
        "peak_phase": seen.memory.peak_phase,
        "peak_bytes_by_category": dict(seen.memory.by_category),
        "peak_bytes_by_phase": dict(seen.memory.by_phase),
        "least_bytes": seen.least_bytes,
        "steps": seen.steps,
        **_interval("hours", seen.hours),
        **_interval("cost_usd", seen.cost_usd),
        **_interval("tokens_per_second", seen.tokens_per_second),
        "trainable_parameters": seen.trainable_parameters,
        "checkpoint_bytes": seen.checkpoint_bytes,
        "disk_bytes": seen.host.disk_bytes,
        "disk_bytes_by_part": dict(seen.host.disk_by_part),
        "host_bytes": seen.host.ram_bytes,
        "host_bytes_by_phase": dict(seen.host.ram_by_phase),
        "quality_ceiling": seen.quality_ceiling,
        "forgetting_risk": seen.forgetting_risk,
        "settings": dataclasses.asdict(seen.plan),
        "origin": dict(seen.origin),
        "why_not": list(seen.why_not),
        "mends": list(seen.suggestions),
    }


def _offer(offer: RentOffer) -> dict[str, object]:
    seen, price = offer.estimate, offer.device.price
    return {
        "gpu": offer.device.name,
        "count": offer.device.count,
        "carries": seen is not None,
        "method": offer.method,
        "peak_bytes": seen.memory.peak_bytes if seen else None,
        "memory_bytes": offer.device.memory_bytes,
        **_interval("hours", seen.hours if seen else None),
        **_interval("cost_usd", seen.cost_usd if seen else None),
        "price_usd_per_hour": price.typical if price else None,
        "price_source": price.source if price else None,
        "trains_now": offer.trains_now,
        "caveat": offer.caveat,
        "why_not": offer.out,
    }


def _interval(name: str, value: Interval | None) -> dict[str, float | None]:
    if value is None or value.point != value.point:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return {name: value.point, f"{name}_low": value.low, f"{name}_high": value.high}
