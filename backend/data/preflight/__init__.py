"""What would waste a run, looked for in the rows before anything is trained; a check a file."""
