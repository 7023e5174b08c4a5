"""How good a prediction is, how sure we are, and how that is written down."""
