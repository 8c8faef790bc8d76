"""Asks: which servers are unwell, since when and why."""
