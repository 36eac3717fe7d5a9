"""The trainer: the one place that loads torch."""

from backend.training import waiting

# Set before torch is imported: libgomp reads them when it is loaded.
waiting.bound_spinning()
waiting.fit_threads()
