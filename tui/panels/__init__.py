"""Widgets that draw a History and compute nothing."""
