"""Time and memory of a run over all its attempts: one for its start, and one for each resume."""

from __future__ import annotations

import msgspec

from backend.run.events import PhasePeak, PhasesMeasured, RunFinished, RunStarted


class RunClock:
    """Seconds of a run in all its attempts, not counting those between them."""

    def __init__(self) -> None:
        self._before = 0.0
        """Seconds of the attempts before this one."""
        self._began_at = 0.0
        """Unix seconds at which this one began; 0 before the first."""
        self._is_loaded = False

    def started(self, event: RunStarted, seconds_so_far: float) -> None:
        """Called twice per attempt: when it begins, and when the model is loaded."""
        if self._is_loaded or event.total_steps is None or not self._began_at:
            self._before = seconds_so_far
            self._began_at = event.t
        self._is_loaded = event.total_steps is not None

    def seconds(self, now: float, finished: RunFinished | None) -> float:
        """Seconds until `now`; what the run took once it has ended."""
        if finished and finished.seconds is not None:
            return finished.seconds
        end = finished.t if finished else now
        return self._before + max(0.0, end - self._began_at if self._began_at else 0.0)


def together(before: PhasesMeasured, now: PhasesMeasured) -> PhasesMeasured:
    """The phases of all attempts together: the highest peaks, and all their seconds."""
    if before.kind != now.kind:
        return now
    phases = dict(before.phases)
    for name, phase in now.phases.items():
        phases[name] = _joined(phases[name], phase) if name in phases else phase
    return msgspec.structs.replace(now, phases=phases)


def _joined(first: PhasePeak, later: PhasePeak) -> PhasePeak:
    return PhasePeak(
        peak_bytes=max(first.peak_bytes, later.peak_bytes),
        reserved_bytes=max(first.reserved_bytes, later.reserved_bytes),
        rest_bytes=later.rest_bytes,
        seconds=first.seconds + later.seconds,
        times=first.times + later.times,
    )
