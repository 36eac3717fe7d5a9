"""Training over several devices: what ranks tell each other, how gradients meet, a model in shards."""
