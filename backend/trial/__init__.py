"""Trials: a few real steps of each method before the choice, each in a process of its own."""
