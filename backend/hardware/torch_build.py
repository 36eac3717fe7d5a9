"""Which torch is installed and whether it suits driver and GPU, found out without importing it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.hardware import catalogue
from backend.hardware.types import Gpu, TorchBuild, Version

OLDEST_TOOLKIT = (12, 6)
"""The oldest CUDA that torch is built for."""
OTHER_BUILDS = "see https://pytorch.org/get-started/locally"


def installed() -> TorchBuild | None:
    """The installed torch; None if there is none."""
    try:
        distribution = importlib.metadata.distribution("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file("torch/version.py")))
    return parse(file.read_text() if file.is_file() else "", distribution.version)


def parse(text: str, version: str) -> TorchBuild:
    """The build that torch/version.py describes; `version` is taken if the text names none."""
    cuda = _value(text, "cuda")
    return TorchBuild(
        version=_value(text, "__version__") or version,
        cuda=catalogue.version(cuda) if cuda else None,
        hip=_value(text, "hip"),
    )


@dataclass(frozen=True)
class Disagreement:
    """Why this torch cannot use these GPUs."""

    sentence: str
    fix: str
    """The command, or the page, that fixes it."""


def disagreements(
    build: TorchBuild | None, driver_cuda: Version | None, gpus: Sequence[Gpu]
) -> tuple[Disagreement, ...]:
    """What prevents this torch build from using the driver and the GPUs; empty if nothing does."""
    if build is None:
        return (Disagreement("torch is not installed.", "pip install torch"),)
    if not gpus:
        sentence = f"torch {build.version} is a ROCm build: fttui finds no AMD GPUs (--gpu MI300X plans for one)."
        return (Disagreement(sentence, OTHER_BUILDS),) if build.hip else ()
    if build.cuda is None:
        return (_without_cuda(build, gpus[0], driver_cuda),)
    return (*_too_new_for_driver(build, build.cuda, driver_cuda), *_unknown_to_build(build, build.cuda, gpus))


def _without_cuda(build: TorchBuild, gpu: Gpu, driver_cuda: Version | None) -> Disagreement:
    """A build without CUDA. The fix is Linux's default build, or one for an older CUDA that driver and GPU support."""
    kind = f"for ROCm {build.hip}" if build.hip else "without CUDA"
    rules, default = catalogue.cuda_rules(), f"pip install --force-reinstall torch=={build.version.partition('+')[0]}"
    newest = rules.oldest[-1].cuda
    if gpu.compute_capability and gpu.compute_capability < rules.oldest_capability(newest, _release(build)):
        fix = f"install a torch built for CUDA {_dotted(OLDEST_TOOLKIT)}, {OTHER_BUILDS}"
    elif driver_cuda and driver_cuda[0] < newest[0]:
        fix = f"install a torch built for CUDA {driver_cuda[0]}, {OTHER_BUILDS}"
    else:
        fix = default
    return Disagreement(
        f"torch {build.version} is built {kind}, so it cannot use the {gpu.name}: training would run on the CPU.", fix
    )


def _too_new_for_driver(build: TorchBuild, cuda: Version, driver_cuda: Version | None) -> Iterator[Disagreement]:
    """Within one major version CUDA runs on older drivers (minor version compatibility); across majors it does not."""
    if driver_cuda and cuda[0] > driver_cuda[0]:
        yield Disagreement(
            f"torch {build.version} needs a driver for CUDA {cuda[0]}, and this one supports CUDA up to "
            f"{_dotted(driver_cuda)}: update the driver, or install a torch built for CUDA {driver_cuda[0]}.",
            f"sudo ubuntu-drivers install  (or another torch: {OTHER_BUILDS})",
        )


def _unknown_to_build(build: TorchBuild, cuda: Version, gpus: Sequence[Gpu]) -> Iterator[Disagreement]:
    rules, release = catalogue.cuda_rules(), _release(build)
    oldest = rules.oldest_capability(cuda, release)
    for name, capability in sorted({(gpu.name, gpu.compute_capability) for gpu in gpus if gpu.compute_capability}):
        first = rules.first_toolkit.get(capability[0], (0, 0))
        if capability < oldest:
            yield Disagreement(
                f"torch {build.version} is built for CUDA {_dotted(cuda)} and has no kernels for the {name} "
                f"(compute capability {_dotted(capability)}): {_older_build(rules, capability, release)}.",
                OTHER_BUILDS,
            )
        if cuda < first:
            yield Disagreement(
                f"torch {build.version} is built for CUDA {_dotted(cuda)}, which does not know the {name} yet: "
                f"install a torch built for CUDA {_dotted(first)} or later.",
                OTHER_BUILDS,
            )


def _older_build(rules: catalogue.CudaRules, capability: Version, release: Version) -> str:
    """What to do instead: builds for CUDA 12.6 are the last ones for GPUs before Turing."""
    if capability >= rules.oldest_capability(OLDEST_TOOLKIT, release):
        return f"install a torch built for CUDA {_dotted(OLDEST_TOOLKIT)}"
    return "no torch of today supports it; take another GPU, or the CPU (--gpu cpu)"


def _release(build: TorchBuild) -> Version:
    numbers = re.findall(r"\d+", build.version)
    return int(numbers[0]), int(numbers[1])


def _value(text: str, name: str) -> str | None:
    """The string assigned to `name`, as in `cuda: Optional[str] = '13.0'`; None for None."""
    match = re.search(rf"^{name}\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return match[1] if match else None


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
