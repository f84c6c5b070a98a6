"""Backtests of trading rules on daily bars: limit entries and exits around forecasts, tuned and then tested on what
tuning never saw.

    bars        open, high, low, close of one symbol          synthetic   made prices whose path inside a bar is known
    rules       what is tuned, what trading costs             data        a symbol -> its bars
    kernel      bars x rules -> tallies                       measures    tallies -> return, Sharpe, drawdown ...
    forecasters levels for the next bar, forecast once        folds       which bars train, which test
    overfitting deflated Sharpe, overfitting's probability    search      one symbol: tune, walk forward, report
    runner      many symbols in many processes                multipliers two multipliers, solved exactly
"""
