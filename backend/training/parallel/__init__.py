"""Training over several devices: communication between ranks, summing gradients, sharding a model."""
