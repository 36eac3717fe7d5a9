"""Which torch is installed and whether it suits driver and GPU, found out without importing it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.hardware import catalogue
from backend.hardware.types import Gpu, TorchBuild, Version


def installed() -> TorchBuild | None:
    """The installed torch; None where there is none."""
    try:
        distribution = importlib.metadata.distribution("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file("torch/version.py")))
    return parse(file.read_text() if file.is_file() else "", distribution.version)


def parse(text: str, version: str) -> TorchBuild:
    """The build that torch/version.py describes; `version` counts where the text names none."""
    cuda = _value(text, "cuda")
    return TorchBuild(
        version=_value(text, "__version__") or version,
        cuda=catalogue.version(cuda) if cuda else None,
        hip=_value(text, "hip"),
    )


def disagreements(build: TorchBuild | None, driver_cuda: Version | None, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Sentences about a torch build that cannot use these GPUs, with the mend; empty where all is well."""
    if build is None:
        return ("torch is not installed: `pip install torch` brings it.",)
    if not gpus:
        return (f"torch {build.version} is a ROCm build: AMD GPUs are not detected here.",) if build.hip else ()
    if build.cuda is None:
        return (_without_cuda(build, gpus[0]),)
    return (*_too_new_for_driver(build, build.cuda, driver_cuda), *_unknown_to_build(build, build.cuda, gpus))


def reinstall(build: TorchBuild) -> str:
    """The command that replaces this build by the default one of the same version, which has CUDA on Linux."""
    return f"pip install --force-reinstall torch=={build.version.partition('+')[0]}"


def _without_cuda(build: TorchBuild, gpu: Gpu) -> str:
    kind = f"for ROCm {build.hip}" if build.hip else "without CUDA"
    return (
        f"torch {build.version} is built {kind}, so it cannot use the {gpu.name}: training would run on the CPU; "
        f"`{reinstall(build)}` brings a build with CUDA."
    )


def _too_new_for_driver(build: TorchBuild, cuda: Version, driver_cuda: Version | None) -> Iterator[str]:
    """Within one major version CUDA runs on older drivers (minor version compatibility); across majors it does not."""
    if driver_cuda and cuda[0] > driver_cuda[0]:
        yield (
            f"torch {build.version} needs a driver for CUDA {cuda[0]}, and this one supports CUDA up to "
            f"{_dotted(driver_cuda)}: update the NVIDIA driver, or install a torch built for CUDA {driver_cuda[0]}."
        )


def _unknown_to_build(build: TorchBuild, cuda: Version, gpus: Sequence[Gpu]) -> Iterator[str]:
    rules = catalogue.cuda_rules()
    known = {(gpu.name, gpu.compute_capability) for gpu in gpus if gpu.compute_capability}
    for name, capability in sorted(known, key=str):
        assert capability is not None
        oldest, first = rules.oldest_capability.get(cuda[0]), rules.first_toolkit.get(capability[0])
        if oldest and capability < oldest:
            yield (
                f"torch {build.version} is built for CUDA {_dotted(cuda)}, which no longer supports the {name} "
                f"(compute capability {_dotted(capability)}): install a torch built for CUDA {cuda[0] - 1}."
            )
        if first and cuda < first:
            yield (
                f"torch {build.version} is built for CUDA {_dotted(cuda)}, which does not know the {name} yet: "
                f"install a torch built for CUDA {_dotted(first)} or later."
            )


def _value(text: str, name: str) -> str | None:
    """The string assigned to `name`, as in `cuda: Optional[str] = '13.0'`; None for None."""
    match = re.search(rf"^{name}\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return match[1] if match else None


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
