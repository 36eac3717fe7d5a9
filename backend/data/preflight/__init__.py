"""Checks of the rows for what would waste a run, made before training; one file per check."""
