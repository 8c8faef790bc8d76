"""Serves: text format, the Prometheus HTTP API, the stream and the dashboard."""
