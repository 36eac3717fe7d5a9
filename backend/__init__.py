"""The headless core: hardware, job, predictions and the run itself. It has no screen."""
