"""A small grid of settings under a budget: those that lose are ended early."""
