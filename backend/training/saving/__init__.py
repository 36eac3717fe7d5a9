"""What a run writes to disk: checkpoints and the result."""
