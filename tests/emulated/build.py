"""Builds the emulated CUDA: two libraries that stand in for NVIDIA's driver under a real CUDA build of torch.

Every call that the host makes is real: torch's caching allocator, its choice of kernels, out of memory, streams, pinned
copies, launches. No kernel runs, so values mean nothing, and nothing is known about time.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent / "source"
PARTS = ("device", "memory", "work")
FLAGS = ("-std=c++17", "-O1", "-fPIC", "-Wno-attributes")
STOOD_IN = re.compile(r"(_*cuda|cublas)\w+")
"""Functions that torch's libraries need, whatever they do; those that CUDA's libraries lack are provided here."""
DRIVER = re.compile(rb"\bcu[A-Z][A-Za-z0-9_]+\b")
"""Names of driver functions, which torch looks up by their names."""


class CannotBuild(Exception):
    """What is missing, as half a sentence."""


def libraries(site: Path) -> Path:
    """The folder with the libraries for the torch in `site` (site-packages), built if it is not there yet."""
    torch = site / "torch" / "lib"
    headers = next(iter(sorted(site.glob("nvidia/cu*/include/cuda_runtime_api.h"))), None)
    if not (torch / "libtorch_cuda.so").is_file() or headers is None:
        raise CannotBuild("torch is not a CUDA build from a wheel")
    folder = Path(tempfile.gettempdir()) / f"fttui-emulated-cuda-{_key(torch)}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _build(folder, torch, headers.parent)
        (folder / "done").touch()
    return folder


def nvml(folder: Path) -> Path:
    """NVML alone, built into `folder`, which needs nothing of torch or CUDA."""
    _compile(SOURCE / "nvml.cpp", "-shared", "-o", folder / "libnvidia-ml.so.1")
    return folder


def _key(torch: Path) -> str:
    """A cache key that changes with the sources and with torch."""
    content = b"".join(file.read_bytes() for file in sorted(SOURCE.rglob("*.*")))
    stat = (torch / "libtorch_cuda.so").stat()
    return hashlib.sha256(content + f"{torch} {stat.st_size} {stat.st_mtime}".encode()).hexdigest()[:12]


def _build(folder: Path, torch: Path, headers: Path) -> None:
    rest = folder / "rest.c"
    objects = [folder / f"{name}.o" for name in PARTS]
    for name, target in zip(PARTS, objects, strict=True):
        _compile(SOURCE / f"{name}.cpp", "-c", "-I", SOURCE, "-I", headers, "-o", target)
    own = {name for target in objects for name in _symbols(target, "--defined-only")}
    rest.write_text("".join(_nothing(name) for name in sorted(_wanted(torch) - own)))
    _run("gcc", "-c", "-O1", "-fPIC", "-w", rest, "-o", folder / "rest.o")
    _run("g++", "-shared", "-o", folder / "libcuda.so.1", *objects, folder / "rest.o", "-ldl")
    nvml(folder)


def _wanted(torch: Path) -> set[str]:
    """Functions of CUDA that torch and the libraries beside it call."""
    files = [*torch.glob("*.so"), *torch.parent.parent.glob("nvidia/**/lib*.so*")]
    names = {name for file in files for name in _symbols(file, "--undefined-only") if STOOD_IN.fullmatch(name)}
    for name in ("libc10_cuda.so", "libcaffe2_nvrtc.so"):
        if (torch / name).is_file():
            names |= {found.decode() for found in DRIVER.findall((torch / name).read_bytes())}
    return names


def _nothing(name: str) -> str:
    """A function that does nothing and reports success."""
    return f'__attribute__((visibility("default"))) int {name}(void) {{ return 0; }}\n'


def _symbols(file: Path, which: str) -> Iterator[str]:
    dynamic = ("-D",) if ".so" in file.name else ()
    found = subprocess.run(["nm", *dynamic, which, str(file)], capture_output=True, text=True, check=False)
    for line in found.stdout.splitlines():
        yield line.split()[-1].partition("@")[0]


def _compile(file: Path, *arguments: str | Path) -> None:
    _run("g++", *FLAGS, file, *arguments)


def _run(*command: str | Path) -> None:
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotBuild(f"{command[0]} is not installed") from None
    if done.returncode:
        raise CannotBuild(f"{command[0]} failed: {done.stderr[-2000:]}")


if __name__ == "__main__":
    print(libraries(Path(sysconfig.get_paths()["purelib"])))
