"""The alerter: it evaluates rules and tells people, once."""
