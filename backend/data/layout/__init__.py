"""Which column plays which part: decided from names and the first rows (columns.py), and what is said about it."""
