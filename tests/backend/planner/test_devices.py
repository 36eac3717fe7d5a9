from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.errors import UserError
from backend.hardware import (
    Cpu,
    Gpu,
    GpuProcess,
    GpuReading,
    Hardware,
    MigSlice,
    NotAvailable,
    Ram,
    TorchBuild,
    catalogue,
    rate,
)
from backend.hardware.host import CpuRate
from backend.planner import devices, several

GIB = 2**30
MIB = 2**20
READING = GpuReading(0, "", None, None, None, None, None, None)
RTX_4090 = Gpu(
    index=0,
    uuid="GPU-1",
    name="NVIDIA GeForce RTX 4090",
    memory_bytes=24564 * MIB,
    reserved_bytes=480 * MIB,
    free_bytes=20 * GIB,
    compute_capability=(8, 9),
    processes=(),
    reading=replace(READING, power_limit_watts=350.0),
)


def box(*gpus: Gpu, torch: TorchBuild | None = None, notes: tuple[str, ...] = ()) -> Hardware:
    return Hardware(
        gpus=gpus,
        no_gpu=None if gpus else NotAvailable("no-library", "There is no driver."),
        hidden_gpus=0,
        driver="580",
        driver_cuda=(13, 0),
        torch=torch,
        cpu=Cpu("EPYC", 2, 2, 1.5, avx512_bf16=True, amx_bf16=False),
        ram=Ram(64 * GIB, 48 * GIB, limited=False),
        disk_path=Path(),
        disk_free_bytes=0,
        notes=notes,
    )


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("4090", "RTX 4090", 1),
        ("rtx 4090", "RTX 4090", 1),
        ("RTX-4090", "RTX 4090", 1),
        ("rtx4090:2", "RTX 4090", 2),
        ("NVIDIA GeForce RTX 4090 24GB", "RTX 4090", 1),
        ("3060", "RTX 3060 12GB", 1),
        ("4060ti", "RTX 4060 Ti 16GB", 1),
        ("4070 ti super", "RTX 4070 Ti Super", 1),
        ("a6000", "RTX A6000", 1),
        ("6000 ada", "RTX 6000 Ada", 1),
        ("6000 48GB", "RTX 6000 Ada", 1),
        ("rtx pro 6000", "RTX PRO 6000 Blackwell", 1),
        ("RTX PRO 6000 Max-Q", "RTX PRO 6000 Blackwell Max-Q", 1),
        ("A100-80GB", "A100 SXM 80GB", 1),
        ("a100 80g", "A100 SXM 80GB", 1),
        ("A100-80GB:4", "A100 SXM 80GB", 4),
        ("A100 PCIe 80GB", "A100 PCIe 80GB", 1),
        ("NVIDIA A100-SXM4-40GB", "A100 SXM 40GB", 1),
        ("A100-40GB", "A100 SXM 40GB", 1),
        ("H100", "H100 SXM", 1),
        ("h100 sxm5 80 GiB", "H100 SXM", 1),
        ("H100 PCIe", "H100 PCIe", 1),
        ("H100 94GB", "H100 NVL", 1),
        ("H200", "H200 SXM", 1),
        ("GH200", "GH200 96GB", 1),
        ("B200 192GB", "B200 SXM", 1),
        ("GB200", "GB200", 1),
        ("GB10", "DGX Spark", 1),
        ("T4", "T4", 1),
        ("Tesla T4 16GB", "T4", 1),
        ("A10", "A10", 1),
        ("a10g", "A10G", 1),
        ("L40", "L40", 1),
        ("L40S : 8", "L40S", 8),
        ("V100-32GB", "V100 SXM2 32GB", 1),
        ("mi300x", "MI300X", 1),
    ],
)
def test_names_are_matched_forgivingly(text: str, name: str, count: int) -> None:
    device = devices.named(text)
    assert (device.name, device.count) == (name, count)
    assert not device.here


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A100", ["'A100'", "A100 SXM 40GB", "A100 PCIe 80GB", "A100 SXM 80GB"]),
        ("V100", ["V100 SXM2 16GB or V100 SXM2 32GB"]),
        ("rtx 6000", ["RTX 6000 Ada or RTX PRO 6000 Blackwell"]),
        ("4095", ["not known", "RTX 4090"]),
        ("RTX 4090 Laptop GPU", ["not known", "RTX 4090"]),
        ("4090 48GB", ["48 GB", "RTX 4090"]),
        ("h10", ["not known", "H100"]),
        ("zzz", ["not known", "RTX 4090", "cpu"]),
        ("", ["no name"]),
        (":2", ["no name"]),
        ("H100:0", ["gpu: 'H100:0' won't do", "of at least 1"]),
        ("H100:-1", ["gpu: 'H100:-1' won't do", "of at least 1"]),
        ("H100:x", ["gpu: 'H100:x' won't do", "of at least 1"]),
        ("H100:1.5", ["gpu: 'H100:1.5' won't do", "of at least 1"]),
        ("H100:", ["of at least 1"]),
        ("cpu:2", ["just cpu"]),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_with_the_way_out(text: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as refusal:
        devices.named(text)
    assert refusal.value.field == "gpu"
    for part in parts:
        assert part in str(refusal.value)


def test_every_choice_is_found_by_its_own_name_and_by_the_drivers() -> None:
    *gpus, last = devices.choices()
    assert last == "cpu"
    assert [devices.named(name).name for name in gpus] == gpus
    for spec in catalogue.specs():
        assert all(devices.named(name).name == spec.name for name in spec.nvml)
        assert spec.nvml[0] and catalogue.by_driver_name(spec.nvml[0].upper(), spec.smi_bytes) is spec


def test_a_choice_that_was_made_is_said() -> None:
    assert "A100 PCIe 80GB" in devices.named("A100-80GB").notes[0]
    assert "H100 PCIe" in devices.named("h100").notes[0]
    assert devices.named("H100 SXM").notes == ()


def test_a_named_gpu_has_the_catalogues_figures() -> None:
    device = devices.named("4090")
    assert (device.kind, device.bf16, device.compute_capability) == ("cuda", True, (8, 9))
    assert device.memory_bytes == device.free_bytes == int(23.52 * GIB)
    assert device.flops_per_second == pytest.approx(165.2e12)
    assert device.bytes_per_second == pytest.approx(1008e9)
    assert device.price is not None
    assert device.price.low <= device.price.typical <= device.price.high
    assert "2026" in device.price.source


def test_what_is_not_known_of_a_gpu_stays_open() -> None:
    assert devices.named("3060").price is None
    turing = devices.named("T4")
    assert not turing.bf16
    assert turing.flops_per_second == pytest.approx(65e12)
    assert "float16" in turing.notes[0]
    amd = devices.named("MI300X")
    assert amd.compute_capability is None
    assert "not tried" in amd.notes[0]


def test_the_cpu_by_name_is_this_boxs() -> None:
    device = devices.named("CPU")
    assert (device.kind, device.here, device.count, device.price) == ("cpu", True, 1, None)
    assert device.flops_per_second > 0
    assert device.memory_bytes > 0


def test_one_gpu_that_is_here() -> None:
    device = devices.here(box(RTX_4090))
    assert (device.name, device.count, device.here, device.uuids) == ("RTX 4090", 1, True, ("GPU-1",))
    assert device.memory_bytes == (24564 - 480) * MIB
    assert device.free_bytes == 20 * GIB
    assert device.flops_per_second == pytest.approx(165.2e12)
    assert device.watts == 350.0
    assert device.notes == ()


IDLE = replace(RTX_4090, free_bytes=23 * GIB)
BUSY = replace(RTX_4090, index=1, uuid="GPU-2", free_bytes=5 * GIB, processes=(GpuProcess(7, "python", 15 * GIB),))


def test_all_idle_gpus_of_one_kind_are_taken() -> None:
    drawn_on = replace(
        IDLE, index=2, uuid="GPU-3", free_bytes=22 * GIB, processes=(GpuProcess(8, "Xorg", GIB, computes=False),)
    )
    computed_on = replace(IDLE, index=3, uuid="GPU-4", processes=(GpuProcess(9, "python", None),))
    device = devices.here(box(BUSY, drawn_on, IDLE, computed_on))
    assert (device.label, device.uuids) == ("2 x RTX 4090", ("GPU-1", "GPU-3"))
    assert (device.memory_bytes, device.free_bytes) == ((24564 - 480) * MIB, 22 * GIB)
    assert device.taken[0] == "This box has 4 such GPUs; a run trains on the 2 that are idle, GPU 0 and 2."
    assert device.taken[1:] == ("GPU 2 is in use by Xorg (pid 8), 1.0 GiB.",)


def test_where_all_are_idle_all_are_taken() -> None:
    device = devices.here(box(IDLE, replace(IDLE, index=1, uuid="GPU-2")))
    assert (device.count, device.uuids) == (2, ("GPU-1", "GPU-2"))
    assert device.taken == ("This box has 2 such GPUs; a run trains on all 2 of them.",)


def test_one_idle_gpu_is_taken_alone() -> None:
    device = devices.here(box(BUSY, IDLE))
    assert (device.count, device.uuids) == (1, ("GPU-1",))
    assert device.taken == ("This box has 2 such GPUs; a run trains on the one that is idle, GPU 0.",)


def test_where_none_is_idle_the_freest_is_taken() -> None:
    device = devices.here(box(RTX_4090, BUSY))
    assert (device.label, device.free_bytes, device.uuids) == ("RTX 4090", 20 * GIB, ("GPU-1",))
    assert device.taken[0].endswith("2 such GPUs; a run trains on one of them, GPU 0, the freest: none is idle.")


def test_fewer_are_the_freest_and_more_are_those_in_use_too() -> None:
    third = replace(IDLE, index=2, uuid="GPU-3", free_bytes=22 * GIB)
    device = devices.here(box(BUSY, third, IDLE))
    fewer, all_three = several.take(device, 1), several.take(device, 3)
    assert (fewer.count, fewer.free_bytes, fewer.uuids) == (1, 23 * GIB, ("GPU-1",))
    assert fewer.taken == ("This box has 3 such GPUs; a run trains on one of them, GPU 0.",)
    assert (all_three.count, all_three.free_bytes, several.most(device)) == (3, 5 * GIB, 3)
    assert all_three.taken[1].startswith("GPU 1 is in use by python")


def test_of_unlike_gpus_the_largest_kind_is_planned_for() -> None:
    small = replace(IDLE, name="NVIDIA L4", uuid="GPU-2", memory_bytes=23034 * MIB)
    device = devices.here(box(small, IDLE, replace(IDLE, uuid="GPU-3", index=2)))
    assert (device.name, device.count, device.uuids) == ("RTX 4090", 2, ("GPU-1", "GPU-3"))
    assert device.taken == (
        "This box has unlike GPUs (1 x NVIDIA L4, 2 x NVIDIA GeForce RTX 4090), of which the NVIDIA GeForce RTX 4090 "
        "has most memory; a run trains on all 2 of them.",
    )
    alone = devices.here(box(small, IDLE))
    assert alone.taken[0].endswith("RTX 4090 has most memory; a run trains on it, GPU 0.")


def test_unlike_gpus_are_taken_together_if_more_are_wanted() -> None:
    small = replace(IDLE, name="NVIDIA L4", uuid="GPU-2", index=2, memory_bytes=23034 * MIB)
    device = devices.here(box(small, IDLE, replace(IDLE, uuid="GPU-3", index=1)))
    three, l4 = several.take(device, 3), devices.named("L4")
    assert (several.most(device), three.count, three.here) == (3, 3, True)
    assert three.uuids == ("GPU-1", "GPU-3", "GPU-2") and three.label == "2 x RTX 4090 + L4"
    assert (three.flops_per_second, three.bytes_per_second) == (l4.flops_per_second, l4.bytes_per_second)
    assert three.memory_bytes <= min(device.memory_bytes, 23034 * MIB)
    assert three.taken[0].endswith("; a run trains on 2 x RTX 4090 + L4.")
    assert several.take(three, 1) == several.take(device, 1) and several.take(three, 2) == several.take(device, 2)


def test_a_gpu_that_the_catalogue_does_not_know_has_no_rate() -> None:
    device = devices.here(box(replace(RTX_4090, name="NVIDIA GeForce RTX 7090")))
    assert (device.name, device.flops_per_second, device.price) == ("GeForce RTX 7090", 0.0, None)
    assert device.bf16
    assert "unknown until a step is measured" in device.notes[0]


def test_a_name_with_another_memory_size_is_another_card() -> None:
    device = devices.here(box(replace(RTX_4090, name="NVIDIA GeForce RTX 3080", memory_bytes=12288 * MIB)))
    assert device.flops_per_second == 0.0


def test_an_older_driver_leaves_the_catalogues_capacity() -> None:
    device = devices.here(box(replace(RTX_4090, reserved_bytes=None, free_bytes=None)))
    assert device.memory_bytes == device.free_bytes == int(23.52 * GIB)


def test_unified_memory_is_bounded_by_the_ram() -> None:
    spark = replace(RTX_4090, name="NVIDIA GB10", memory_bytes=None, free_bytes=None, reserved_bytes=None)
    device = devices.here(box(spark))
    assert (device.name, device.memory_bytes, device.free_bytes) == ("DGX Spark", 64 * GIB, 48 * GIB)
    jetson = devices.here(box(replace(spark, name="Orin (nvgpu)", compute_capability=(8, 7))))
    assert (jetson.name, jetson.memory_bytes, jetson.free_bytes) == ("Orin (nvgpu)", 64 * GIB, 48 * GIB)
    assert "taken to share the CPU's" in jetson.notes[0]
    assert jetson.obstacles == ("torch is not installed.",)


def test_a_card_that_only_files_describe_does_not_share_memory() -> None:
    """Its size is the catalogue's, whatever the RAM; if it has none, nothing can be planned, and a sentence says so."""
    missing = {"memory": "libnvidia-ml.so.1 is missing"}
    files = replace(RTX_4090, memory_bytes=None, free_bytes=None, reserved_bytes=None, refused=missing)
    torch = TorchBuild("2.13.0+cu130", (13, 0), None)
    small = replace(box(files, torch=torch), ram=Ram(16 * GIB, 8 * GIB, limited=False))
    known = devices.here(small)
    assert (known.memory_bytes, known.obstacles) == (int(23.52 * GIB), ())
    (said,) = devices.here(replace(small, gpus=(replace(files, name="NVIDIA GeForce RTX 7090"),))).obstacles
    assert said.startswith("How much memory the NVIDIA GeForce RTX 7090 has is not known here")


def test_a_mig_slice_has_its_part_of_the_card() -> None:
    whole = replace(RTX_4090, name="NVIDIA A100-SXM4-40GB", compute_capability=(8, 0), reserved_bytes=0)
    large = replace(whole, uuid="MIG-1", memory_bytes=20 * GIB, mig=MigSlice(0, 3 / 7, 0.5), profile="3g.20gb")
    small = replace(whole, uuid="MIG-2", memory_bytes=5 * GIB, mig=MigSlice(0, 1 / 7, 0.125), profile="1g.5gb")
    device = devices.here(box(small, large))
    assert (device.name, device.count, device.price) == ("A100 SXM 40GB MIG 3g.20gb", 1, None)
    assert device.memory_bytes == 20 * GIB
    assert device.flops_per_second == pytest.approx(312e12 * 3 / 7)
    assert device.bytes_per_second == pytest.approx(1555e9 / 2)
    assert "one MIG slice" in device.taken[0]


def test_without_a_gpu_it_is_the_cpu_with_the_reason() -> None:
    device = devices.here(box())
    assert (device.kind, device.bf16, device.memory_bytes) == ("cpu", True, 48 * GIB)
    assert "There is no driver." in device.notes[0]
    assert device.name == "EPYC, 1.5 cores"
    amd = devices.here(box(torch=TorchBuild("2.13.0+rocm7", None, "7.0")))
    assert "is a ROCm build: fttui finds no AMD GPUs" in amd.notes[0]


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        ([True], []),
        ([False], ["Other programs keep this box's cores busy, also while its speed was measured: the time is"]),
        (
            [True, False],
            ["Other programs keep this box's cores busy: a run takes longer than predicted while they do."],
        ),
    ],
)
def test_a_busy_box_is_said_beside_its_predicted_time(
    quiet: list[bool], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in quiet:
        monkeypatch.setattr(rate, "measure_cpu_rate", lambda _, each=each: CpuRate(1e11, each))
        device = devices.here(box())
    assert len(device.notes) == 1 + len(expected)
    assert all(note.startswith(start) for note, start in zip(device.notes[1:], expected, strict=True))


def test_a_torch_without_cuda_trains_on_the_cpu_whatever_the_box_has() -> None:
    device = devices.here(box(RTX_4090, torch=TorchBuild("2.13.0+cpu", None, None), notes=("torch is for the CPU.",)))
    assert device.kind == "cpu"
    assert device.notes == ("torch is for the CPU.",)


def test_the_catalogue_is_consistent() -> None:
    specs = catalogue.specs()
    assert len({spec.name for spec in specs}) == len(specs) >= 49
    for spec in specs:
        assert spec.torch_bytes < spec.memory_gb * 1e9 * 1.075, spec.name
        assert spec.smi_bytes is None or spec.torch_bytes < spec.smi_bytes, spec.name
        assert spec.bf16_flops in (None, spec.fp16_flops), spec.name
        assert (spec.compute_capability is None) == spec.architecture.startswith("CDNA"), spec.name
        if spec.compute_capability:
            has_bf16 = spec.compute_capability >= catalogue.cuda_rules().bf16_since
            assert has_bf16 == (spec.bf16_flops is not None), spec.name
        if spec.offer:
            assert 0 < spec.offer.low <= spec.offer.typical <= spec.offer.high, spec.name
            assert "2026" in spec.offer.source, spec.name


@pytest.mark.parametrize(("seconds", "factor"), [(0.0018, None), (0.0036, 2.5), (0.1, 4.0), (0.0003, 0.4)])
def test_a_slow_or_fast_host_is_measured_and_a_usual_one_is_not_told_apart(
    seconds: float, factor: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "loop_seconds", lambda _: seconds)
    assert devices.here(box(RTX_4090)).host == (factor and pytest.approx(factor))
    assert devices.named("4090").host is None
