"""Keeps: the servers and their configuration, in SQLite or PostgreSQL."""
