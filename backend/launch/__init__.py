"""Start a run: in this process, or in one process for each device."""
