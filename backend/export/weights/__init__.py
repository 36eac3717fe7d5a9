"""Merging an adapter into its base, and looking whether the result answers as the two together: needs torch."""
