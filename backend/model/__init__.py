"""Where a model is and what shape it has, before a byte of weights is loaded."""
