"""The trainer: the one place that loads torch."""

from backend.training import waiting

# Read as libgomp is loaded, with torch.
waiting.bound_spinning()
waiting.fit_threads()
