"""From box, model, data and answers to the comparison of the three methods. Loads no torch, except for the dry run."""
