"""The optimisation interface of token economy simulations: `optimization`."""
