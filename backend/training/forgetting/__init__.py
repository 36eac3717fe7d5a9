"""How far the model moves from its base on general text, measured while it trains."""
