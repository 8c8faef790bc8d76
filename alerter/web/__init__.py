"""The alerter's own API and page."""
