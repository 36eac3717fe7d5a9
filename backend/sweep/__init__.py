"""A small grid search under a budget: settings that do worse are ended early (successive halving)."""
