"""Merging an adapter into its base, and rows for new tokens: the base that a run starts from, or its result."""
