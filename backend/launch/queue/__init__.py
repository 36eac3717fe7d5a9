"""Runs that wait for a GPU of this box: a list in a file, and one worker that starts them in order."""
