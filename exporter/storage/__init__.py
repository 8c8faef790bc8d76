"""Keeps: samples as baseline + delta frames, losslessly, in SQLite or Redis."""
