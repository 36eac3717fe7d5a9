"""The terminal: the command, the wizard, the live screen."""
