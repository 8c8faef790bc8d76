"""Go templates as Prometheus rules use them."""
