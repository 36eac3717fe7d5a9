"""Attention of packed rows without a mask: each row by itself, by where rows begin and end."""
