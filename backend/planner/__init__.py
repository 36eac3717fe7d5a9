"""From box, model, data and answers to the comparison of the three methods. No torch in it (the dry run apart)."""
