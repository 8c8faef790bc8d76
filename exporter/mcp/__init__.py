"""Lets an AI agent ask a running exporter, by the Model Context Protocol."""
