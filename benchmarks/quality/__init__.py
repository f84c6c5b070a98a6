"""How good the answers are: thalweg and its rivals on the same problems, seeds and budgets. See `__main__` for use."""
