"""Makes: who is in the fleet, its normal day and its bad days, as snapshots."""
