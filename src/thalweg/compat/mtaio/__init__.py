"""The optimisation interface of async services: `optimization`, `core`, `monitoring`."""
