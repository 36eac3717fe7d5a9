"""The losses of a run as a small picture for the model card."""

from __future__ import annotations

import math

from backend.run.history import History

FILE = "loss.svg"
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 240, 56, 28, 12
_MOST_POINTS = 600
_TRAIN, _HELD_OUT, _TEXT = "#4878a8", "#c05020", "#707070"


def is_drawable(past: History) -> bool:
    """There are two losses at least."""
    return len(_train(past)) > 1


def svg(past: History) -> str:
    """Training loss as a line, held-out loss as points, over the steps."""
    train, held_out = _train(past), [(x.step, x.loss) for x in past.evaluations if math.isfinite(x.loss)]
    losses = [loss for _, loss in (*train, *held_out)]
    low, high, last = min(losses), max(losses), max(step for step, _ in (*train, *held_out))

    def place(step: float, loss: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - 12) * step / max(1, last)
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - loss) / ((high - low) or 1.0)
        return round(x, 1), round(y, 1)

    line = " ".join(f"{x},{y}" for x, y in (place(*point) for point in train))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">',
        f'<polyline points="{line}" fill="none" stroke="{_TRAIN}" stroke-width="1.5"/>',
        *(f'<circle cx="{x}" cy="{y}" r="4" fill="{_HELD_OUT}"/>' for x, y in (place(*point) for point in held_out)),
        _label(4, _TOP + 8, f"{high:.3f}"),
        _label(4, _HEIGHT - _BOTTOM, f"{low:.3f}"),
        _label(_LEFT, _HEIGHT - 8, "step 0"),
        _label(_WIDTH - 90, _HEIGHT - 8, f"step {last:,}"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _train(past: History) -> list[tuple[int, float]]:
    """Steps and losses, thinned to what the picture can show."""
    found = [(step, loss) for step, loss in zip(past.steps, past.losses, strict=False) if math.isfinite(loss)]
    return found[:: max(1, len(found) // _MOST_POINTS)]


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="11" fill="{_TEXT}">{text}</text>'
