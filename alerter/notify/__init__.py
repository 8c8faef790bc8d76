"""Receivers: one file for each kind of place that gets told."""
