"""An archive for `make bench-gpu` on a box that can't reach a package index: this project and the packages it lacks.

    python -m tests.bench.gpu_carry [--python 3.12] [--cuda 130] [--out carry.tgz] [PACKAGE ...]

The box has its own torch, and what usually comes with it (transformers' tokenizers, pyarrow, numpy); PACKAGES are those
that it lacks, in the versions of constraints.txt, by default what most lack. They are downloaded as wheels for that
Python and unpacked, of bitsandbytes only the library for that CUDA. Prints the archive's size, and what to type there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LACKING = (
    *("transformers", "bitsandbytes", "peft", "msgspec", "tomlkit", "platformdirs", "datasets", "multiprocess", "dill"),
    *("cyclopts", "docstring_parser", "rich-rst", "nvidia-ml-py", "ftfy", "wcwidth", "rensa", "psutil"),
)
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_24_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
PROJECT = ("backend", "presets", "tests", "tui", "constraints.txt", "pyproject.toml")
UNPACK = "mkdir -p carry && tar xzf carry.tgz -C carry && cd carry"
RUN = "PYTHONPATH=site:. HF_HUB_OFFLINE=1 python3 -m tests.bench.gpu --lines gpu.jsonl"


def main() -> None:
    """Download, unpack, pack."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        wheels, site = Path(folder) / "wheels", Path(folder) / "site"
        _download([*requirements(options.packages)], options.python, wheels)
        for wheel in sorted(wheels.glob("*.whl")):
            unpack(wheel, site, options.cuda)
        with tarfile.open(options.out, "w:gz") as archive:
            archive.add(site, "site")
            for name in tracked():
                archive.add(ROOT / name, name)
    print(f"{options.out}: {options.out.stat().st_size / 2**20:.1f} MiB. There, with Python {options.python}:")
    print(f"    {UNPACK}\n    {RUN}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", default=LACKING)
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--cuda", default="130", help="the CUDA of the box's torch, without its dot")
    parser.add_argument("--out", type=Path, default=Path("carry.tgz"))
    return parser.parse_args()


def requirements(names: Iterable[str]) -> Iterator[str]:
    """The names with the versions of constraints.txt; without one if it has none."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].casefold(): line for line in lines if "==" in line}
    yield from (pinned.get(name.casefold(), name) for name in names)


def _download(wanted: list[str], python: str, folder: Path) -> None:
    platforms = [text for name in PLATFORMS for text in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    options = ["--python-version", python, "--implementation", "cp", "-d", str(folder)]
    subprocess.run([*command, *options, *platforms, *wanted], check=True)


def unpack(wheel: Path, site: Path, cuda: str) -> None:
    """All of a wheel but GPU libraries for another CUDA or another vendor."""
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site, [name for name in file.namelist() if is_needed(name, cuda)])


def is_needed(name: str, cuda: str) -> bool:
    """False for bitsandbytes' libraries that the box can't load."""
    stem = Path(name).name
    if not (stem.startswith("libbitsandbytes_") and stem.endswith(".so")):
        return True
    return stem in (f"libbitsandbytes_cuda{cuda}.so", "libbitsandbytes_cpu.so")


def tracked() -> list[str]:
    """The project's own files, without pictures that tests compare with."""
    listed = subprocess.run(
        ["git", "ls-files", *PROJECT], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [name for name in listed if "__snapshots__" not in name]


if __name__ == "__main__":
    main()
