"""Which version of a registered model is live, which was, and the one way to change it."""
