"""Thin faces over thalweg's public names, for documented interfaces of other packages."""
