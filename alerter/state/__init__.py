"""The store between the loops: alerts, what was told, silences and history."""
