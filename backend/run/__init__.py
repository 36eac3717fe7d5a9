"""A run as files: the folder, its events and commands, and the history that every screen reads."""
