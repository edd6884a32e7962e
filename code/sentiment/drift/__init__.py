"""Whether what a model sees and says today is still distributed as it was in its training."""
