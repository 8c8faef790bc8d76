"""The machine it runs on, in the catalogue's families."""
