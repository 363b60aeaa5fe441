"""The doors for devices, and the one pipeline behind them."""
