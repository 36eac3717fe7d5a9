"""Starts a run: in this process, or one process for each device."""
