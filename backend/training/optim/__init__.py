"""Optimizers, their states, and the rounding of 16-bit weights."""
