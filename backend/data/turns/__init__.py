"""Turns in the spellings people use: roles, calls, typed parts, transcripts, and what is wrong or odd in them."""
