"""The exporter: it makes, keeps, asks and serves samples."""
