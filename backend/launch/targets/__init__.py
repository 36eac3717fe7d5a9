"""Launching the same plan on another engine: the file that the engine takes, and submitting it."""
