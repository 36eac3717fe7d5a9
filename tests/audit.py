"""Known vulnerabilities of the versions that fttui is built with: part of `make check`. Skipped with a word offline."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
PROBE = "packaging"
"""A package that every database knows: if there is no answer about it, the others are not asked about."""
SECONDS = 15.0
WHOLE_SECONDS = 180.0


def main() -> int:
    """1 if a version has a known vulnerability."""
    probe = next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith(f"{PROBE}=="))
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one.txt"
        one.write_text(probe + "\n")
        found = audited(one, SECONDS) and audited(CONSTRAINTS, WHOLE_SECONDS)
    if not found:
        print("audit of dependencies: skipped, since no database of vulnerabilities can be reached")
        return 0
    bad = [each for each in found if each.get("vulns")]
    for each in bad:
        names = ", ".join(vulnerability["id"] for vulnerability in each["vulns"])
        fixed = ", ".join(version for vulnerability in each["vulns"] for version in vulnerability["fix_versions"])
        print(f"audit of dependencies: {each['name']} {each['version']} has {names}; fixed in {fixed or 'no version'}")
    print(f"audit of dependencies: {len(found)} packages, {len(bad)} with known vulnerabilities")
    return 1 if bad else 0


def audited(requirements: Path, seconds: float) -> list[dict[str, Any]]:
    """What the database says of each package; empty if it says nothing, or can't be reached in so many seconds."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--timeout", "5", "--format", "json"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=seconds).stdout
        return [each for each in json.loads(said)["dependencies"] if "skip_reason" not in each]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return []


if __name__ == "__main__":
    sys.exit(main())
