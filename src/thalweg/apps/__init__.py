"""Domains built on the public names: floor 4."""
