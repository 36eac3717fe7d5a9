"""Send what libraries print and warn to the run's log file while it trains."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import transformers
from huggingface_hub.utils.tqdm import disable_progress_bars

LIBRARIES = (
    "py.warnings",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "huggingface_hub",
    "torch",
    "datasets",
)
OWN = "fttui.trainer"
"""The trainer's own logger, whose errors go to the log file with their tracebacks."""


@contextmanager
def libraries_to(log_file: Path) -> Iterator[logging.Logger]:
    """Send the libraries' warnings to `log_file` and switch progress bars off. Yields the trainer's own logger."""
    transformers.utils.logging.disable_progress_bar()
    disable_progress_bars()
    handler = logging.FileHandler(log_file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    own = logging.getLogger(OWN)
    loggers = [own, *map(logging.getLogger, LIBRARIES)]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    logging.captureWarnings(True)
    try:
        yield own
    finally:
        logging.captureWarnings(False)
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()
