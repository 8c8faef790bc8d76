"""Asks: PromQL, parsed and evaluated with Prometheus 3 semantics."""
