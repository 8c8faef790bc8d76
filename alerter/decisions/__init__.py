"""The pure brain of both loops: what is true, what is owed, and to whom."""
