"""What stops a command."""

from __future__ import annotations


class Unusable(Exception):
    """What was given cannot be used. The message names the place, the value and the rule, in one line."""


class CheckFailed(Exception):
    """What was to be checked is not as it should be, or what was asked for was refused. One line."""
