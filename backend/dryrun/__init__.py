"""The real training step of a plan under fake tensors: its memory with no GPU and no weights. Loads torch."""
