"""Which column has which role, decided from names and the first rows (columns.py), and the findings about it."""
