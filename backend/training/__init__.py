"""The trainer: the one place that loads torch."""
