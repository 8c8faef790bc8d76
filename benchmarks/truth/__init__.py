"""The analysis against the simulator's truth: failures of every kind, severity and seed, and weeks without any."""
