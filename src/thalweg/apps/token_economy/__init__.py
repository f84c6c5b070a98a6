"""A token economy as an objective: a seeded daily simulator of many configurations, metrics, a search.

    from thalweg.apps.token_economy.simulator import Simulator

    simulator = Simulator(paths=500, days=365, seed=0)
    metrics = simulator.evaluate({"consensus": ["pos"], "block_reward": [2.0], "initial_supply": [2e7]})
    print(metrics.mean["network_security"], metrics.error["network_security"])

What it is not: a forecast of any token. Every formula is stylised, every constant is in `world.World`.
"""
