"""Importable suites that every strategy, evaluator and store has to pass, and test problems."""
