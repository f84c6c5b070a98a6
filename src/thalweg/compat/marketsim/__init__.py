"""The interface of a market simulator's optimisation: modules that are imported, and scripts that are run.

python -m thalweg.compat.marketsim.parallel_backtest_runner ETHUSD BTCUSD TSLA --workers 3

optimization_utils             two multipliers of a trading rule
backtest_test3_inline          simulations that end one bar earlier each
parallel_backtest_runner       the same for many symbols, in processes
profile_optimization_bottleneck, test_scipy_optimizers, benchmark_realistic_strategy    comparisons, printed
"""
