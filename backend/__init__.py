"""The headless core: what the box is, what the job is, what it will take, and the run itself. No screen in it."""
