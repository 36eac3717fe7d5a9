"""The newest library versions with which our use of their internals is tested; `fttui doctor` warns about newer ones.

docs/ARCHITECTURE.md lists the internals, and what breaks when they change.
"""

from __future__ import annotations

UP_TO = {"torch": "2.13", "transformers": "5.23", "peft": "0.21", "bitsandbytes": "0.50"}
"""Package -> the newest minor version."""
