"""Measured figures beside their goals; `make bench` prints them."""
