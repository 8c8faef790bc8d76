"""For people who write rules: check, test, backtest, send-test."""
