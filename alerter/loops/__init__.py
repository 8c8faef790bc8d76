"""The thin loops around the decisions: ask and save, send and record."""
