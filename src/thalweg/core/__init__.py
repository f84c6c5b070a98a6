"""The words and the four seams (strategy, evaluator, stopping, store): floor 1."""
