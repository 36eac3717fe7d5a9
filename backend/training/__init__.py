"""The trainer: the one place that loads torch."""

import os

# Read as torch's allocator starts, so set before any module here imports torch: big blocks fragment otherwise.
os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
