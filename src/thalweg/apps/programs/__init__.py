"""Command lines as objectives."""
