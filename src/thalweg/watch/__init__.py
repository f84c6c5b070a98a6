"""Listens, counts, shows: progress while a run goes on, its table, pictures and explanation after it.

Everything here is handed plain data (`Event`s, a `RunData`); nothing here runs anything.
"""
