"""What leaves a run: adapters and merged models for others to load."""
