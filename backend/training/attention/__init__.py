"""Attention of packed rows without a mask: each row is computed by itself, from the bounds of the rows."""
