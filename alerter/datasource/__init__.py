"""Who is asked: a Prometheus HTTP API; and what rules' texts are made of."""
