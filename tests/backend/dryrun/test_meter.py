"""The dry run's meter against torch's own tracker, and its NF4 layers against bitsandbytes' real ones."""

from __future__ import annotations

import bitsandbytes
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from backend.dryrun.meter import Meter
from backend.dryrun.packed import PackedLinear


def network() -> torch.nn.Sequential:
    layer = torch.nn.Linear
    return torch.nn.Sequential(layer(64, 256), torch.nn.GELU(), layer(256, 64), torch.nn.LayerNorm(64), layer(64, 1000))


def test_the_meter_counts_as_torchs_memory_tracker_does() -> None:
    with FakeTensorMode():
        net, inputs = network(), torch.empty(32, 64)
        tracker = MemTracker()
        tracker.track_external(net, inputs)
        with tracker:
            net(inputs).logsumexp(1).sum().backward()
        theirs = max(
            sum(v for k, v in x.items() if k != "Total") for x in tracker.get_tracker_snapshot("peak").values()
        )
        net.zero_grad()
        meter = Meter(net, 1000)
        meter.stage("step")
        with meter:
            net(inputs).logsumexp(1).sum().backward()
    ours = sum(meter.peaks["step"].values())
    assert ours + inputs.untyped_storage().nbytes() == theirs


def test_stages_are_kept_apart_and_freed_tensors_leave() -> None:
    with FakeTensorMode():
        kept = torch.nn.Linear(2, 2, bias=False)
        meter = Meter(kept, 7)
        with meter:
            meter.stage("first")
            large = torch.empty(1000)
            del large
            meter.stage("second")
            logits = torch.empty(3, 7)
    assert sum(meter.peaks["first"].values()) == 4 * 4 + 4000
    assert meter.peaks["second"] == {"weights": kept.weight.nbytes, "logits": logits.nbytes, "activations": 0}


def test_packed_layers_are_as_large_as_quantised_ones() -> None:
    real = bitsandbytes.nn.Linear4bit(512, 384, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4").to("cpu")
    real(torch.zeros(1, 512))
    state = real.weight.quant_state
    packed = PackedLinear(torch.nn.Linear(512, 384, bias=False), torch.bfloat16)
    assert packed.weight.nbytes == real.weight.nbytes
    assert packed.absmax.nbytes == state.absmax.nbytes
    assert packed.nested.nbytes == state.state2.absmax.nbytes
