"""The machine it runs on as a maker of snapshots."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil as installed

from exporter import catalogue as cat
from exporter.host import readings
from exporter.host.readings import Psutil, Read, Reading
from exporter.host.services import ServiceCheck, Services
from exporter.model import Column, SeriesIndex, Server, Snapshot

log = logging.getLogger(__name__)


class Host:
    """Reads the machine at each tick. What cannot be read is absent from that snapshot and fails nothing.

    server: its label; without one, the host's name. services: what tells whether each runs.
    Nothing here needs a privilege. In a container, memory, cores, load and disk devices are the machine's;
    interfaces, processes and `/` are the container's own, unless `root` says where the machine's `/` is mounted:
    then file systems are those below it, and processes those of its `proc`.
    """

    def __init__(
        self,
        server: str | None = None,
        environment: str = "production",
        services: Mapping[str, ServiceCheck] | None = None,
        root: str = "/",
        psutil: Psutil | None = None,
    ) -> None:
        machine: Any = installed if psutil is None else psutil
        self._machine: Psutil = machine
        self._root = root
        if root != "/" and Path(root, "proc/stat").exists():
            machine.PROCFS_PATH = f"{root}/proc"
        self._server = server or server_name(socket.gethostname())
        self._environment = environment
        self._services = Services(machine, services or {})
        self._groups = self._readers(machine)
        self._indexes: dict[str, SeriesIndex] = {}
        self._unread: set[str] = set()

    def at(self, t_ms: int) -> Snapshot:
        """What the machine says now, called `t_ms`. Never raises; indexes stay the same object while series do."""
        columns = [
            self._column(reading)
            for group, read in self._groups
            for reading in self._read(group, read)
            if reading.values
        ]
        return Snapshot(t_ms, tuple(columns))

    def server(self) -> Server:
        """The machine as a server of role `host`: what cannot be read is as little as there can be."""
        machine = self._machine
        return Server(
            self._server,
            "host",
            self._environment,
            cores=_size(lambda: len(machine.cpu_times(percpu=True)), 1),
            memory_bytes=_size(lambda: machine.virtual_memory().total, 1 << 20),
            disk_bytes=_size(lambda: machine.disk_usage(self._root).total, 1 << 20),
            services=tuple(self._services.names()),
        )

    def _readers(self, machine: Psutil) -> tuple[tuple[str, Read], ...]:
        """The groups that fail alone, in the catalogue's order."""
        return (
            ("cores", readings.Cores(machine)),
            ("load", partial(readings.load, machine)),
            ("context switches", partial(readings.switches, machine)),
            ("memory", partial(readings.memory, machine)),
            ("swap", partial(readings.swap, machine)),
            ("file systems", partial(readings.space, machine, self._root)),
            ("disks", partial(readings.disks, machine)),
            ("network", partial(readings.network, machine)),
            ("services", lambda: [readings.by("service", cat.SERVICE_UP, self._services.up())]),
            ("boot time", readings.BootTime(machine)),
            ("server", self._info),
        )

    def _info(self) -> list[Reading]:
        labels = ("role", "environment", "synthetic")
        return [Reading(cat.SERVER_INFO, labels, {("host", self._environment, "false"): 1.0})]

    def _read(self, group: str, read: Read) -> Iterator[Reading]:
        """The group's readings; none if it cannot be read, which is said once per streak."""
        try:
            found = read()
        except Exception as err:  # what a platform makes psutil raise is not known beforehand
            if group not in self._unread:
                log.warning("not readable here, left out group=%s err=%r", group, err, exc_info=_is_strange(err))
            self._unread.add(group)
            return
        self._unread.discard(group)
        yield from found

    def _column(self, reading: Reading) -> Column:
        rows = tuple((self._server, *values) for values in reading.values)
        index = self._indexes.get(reading.family.name)
        if index is None or index.rows != rows:
            index = SeriesIndex(reading.family, reading.family.name, ("server", *reading.label_names), rows)
            self._indexes[reading.family.name] = index
        return Column(index, np.array(list(reading.values.values()), dtype=np.float64))


def _size(read: Callable[[], Any], least: int) -> int:
    with contextlib.suppress(OSError, NotImplementedError, installed.Error):
        return max(int(read()), least)
    return least


def server_name(hostname: str) -> str:
    """The host's name without its domain, in letters, digits, `-` and `_`; `host` if nothing is left."""
    try:
        return str(ipaddress.ip_address(hostname))
    except ValueError:
        return re.sub(r"[^\w-]+", "-", hostname.partition(".")[0]).strip("-") or "host"


def _is_strange(err: Exception) -> bool:
    """Whether it is none of what a missing file, permission or platform raises: then the traceback is told."""
    return not isinstance(err, (OSError, NotImplementedError, installed.Error))
