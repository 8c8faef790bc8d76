"""Cells: the parts that a large fleet's service graph falls into. What fails in one cell is not felt in another.

A cell is one turn of the sequence in which a fleet is made, 20 servers with the shipped roles: web-01 … web-04 stand
in the first, web-05 … web-08 in the second. A label `cell` says otherwise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from exporter.model import Server
from exporter.simulation.fleet import turn
from exporter.simulation.roles import Roles

_NUMBER = re.compile(r"([0-9]{1,9})$")


def cells(roles: Roles) -> Callable[[Server], str]:
    """What tells the cell of a server."""
    each = Counter(turn(roles))

    def cell(server: Server) -> str:
        if own := server.labels.get("cell"):
            return own
        number = _NUMBER.search(server.name)
        return str((max(int(number[1]), 1) - 1) // max(each[server.role], 1)) if number else "0"

    return cell
