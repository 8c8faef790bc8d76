"""What psutil says about the machine, as readings: a family and its values, by the labels beyond `server`.

What the platform lacks is left out. What cannot be read raises whatever psutil raises.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from exporter import catalogue as cat
from exporter.model import Family


class Psutil(Protocol):
    """The part of psutil that is used. What its functions return differs from platform to platform."""

    POSIX: bool
    MACOS: bool
    BSD: bool
    STATUS_ZOMBIE: Any
    Error: type[Exception]

    def cpu_times(self, percpu: bool = ...) -> Any: ...
    def cpu_stats(self) -> Any: ...
    def getloadavg(self) -> tuple[float, float, float]: ...
    def virtual_memory(self) -> Any: ...
    def swap_memory(self) -> Any: ...
    def disk_partitions(self, all: bool = ...) -> Sequence[Any]: ...
    def disk_usage(self, path: str) -> Any: ...
    def disk_io_counters(self, perdisk: bool = ..., nowrap: bool = ...) -> Any: ...
    def net_io_counters(self, pernic: bool = ..., nowrap: bool = ...) -> Any: ...
    def boot_time(self) -> float: ...
    def process_iter(self) -> Iterator[Any]: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """One family's values by the values of `label_names`."""

    family: Family
    label_names: tuple[str, ...]
    values: Mapping[tuple[str, ...], float]


def single(family: Family, value: float) -> Reading:
    """The reading of a family without further labels."""
    return Reading(family, (), {(): float(value)})


def by(label: str, family: Family, values: Mapping[str, float]) -> Reading:
    """The reading of a family with one further label."""
    return Reading(family, (label,), {(key,): float(value) for key, value in values.items()})


class Cores:
    """How busy each core was since the last reading; at the first one, since boot.

    Neither idle nor waiting for a disk is busy, as `top` has it. Cores are numbered in the order in which
    the system lists them.
    """

    def __init__(self, psutil: Psutil) -> None:
        self._psutil = psutil
        self._before: list[dict[str, float]] = []
        self._percent: list[float] = []

    def __call__(self) -> list[Reading]:
        times = [_modes(core) for core in self._psutil.cpu_times(percpu=True)]
        if len(times) != len(self._before):  # at the start, and when a core was plugged in or out
            self._before, self._percent = [{} for _ in times], [0.0] * len(times)
        self._percent = list(map(_busy_percent, self._before, times, self._percent))
        self._before = times
        return [by("core", cat.CPU_USAGE, {str(core): percent for core, percent in enumerate(self._percent)})]


def _modes(core: Any) -> dict[str, float]:
    """Seconds by mode; a guest's time is in user's and nice's already."""
    return {mode: seconds for mode, seconds in core._asdict().items() if mode not in ("guest", "guest_nice")}


def _busy_percent(before: Mapping[str, float], now: Mapping[str, float], last: float) -> float:
    """Percent of the time between; `last` if the clock of modes has not ticked."""
    # the kernel sometimes takes back idle and iowait: no mode's share is below nothing
    spent = {mode: max(seconds - before.get(mode, 0.0), 0.0) for mode, seconds in now.items()}
    total = sum(spent.values())
    if total <= 0.0:
        return last
    return round(100.0 * (total - spent["idle"] - spent.get("iowait", 0.0)) / total, 2)


def load(psutil: Psutil) -> list[Reading]:
    """The three load averages."""
    families = (cat.LOAD_1M, cat.LOAD_5M, cat.LOAD_15M)
    return [single(family, round(value, 2)) for family, value in zip(families, psutil.getloadavg(), strict=True)]


def switches(psutil: Psutil) -> list[Reading]:
    """Context switches of all cores."""
    return [single(cat.CONTEXT_SWITCHES, psutil.cpu_stats().ctx_switches)]


def memory(psutil: Psutil) -> list[Reading]:
    """Used is what is not available, so the two are the total."""
    said = psutil.virtual_memory()
    used = said.total - said.available
    return [
        single(cat.MEMORY_USAGE, round(100.0 * used / said.total, 2)),
        single(cat.MEMORY_USED, used),
        single(cat.MEMORY_TOTAL, said.total),
        single(cat.MEMORY_AVAILABLE, said.available),
    ]


def swap(psutil: Psutil) -> list[Reading]:
    """Swap in use; a machine without swap uses none."""
    return [single(cat.SWAP_USED, psutil.swap_memory().used)]


def space(psutil: Psutil, root: str = "/") -> list[Reading]:
    """Each file system's share in use of what users can have, as `df` has it. root: where the machine's `/` is."""
    percents = {}
    for mount in _mounts(psutil, root):
        with contextlib.suppress(OSError):  # one drive without a disk in it hides no other
            usage = psutil.disk_usage(mount)
            if usage.used + usage.free > 0:
                percents[_inside(mount, root)] = round(100.0 * usage.used / (usage.used + usage.free), 3)
    return [by("mount", cat.DISK_USAGE, percents)]


def _inside(mount: str, root: str) -> str:
    return mount if root == "/" else mount.removeprefix(root) or "/"


def _mounts(psutil: Psutil, root: str) -> list[str]:
    """One mount point per file system on a device, the shortest; and the root, which in a container is on none.

    A file that a container has from its host is no mount, an image (squashfs, loop) is always full.
    """
    mount_of: dict[str, str] = {}
    for part in sorted(psutil.disk_partitions(all=False), key=lambda part: len(part.mountpoint)):
        image = part.fstype in _IMAGES or part.device.startswith("/dev/loop")
        here = root == "/" or part.mountpoint == root or part.mountpoint.startswith(f"{root}/")
        if here and not image and _is_folder(part.mountpoint):
            mount_of.setdefault(part.device, part.mountpoint)
    top = {root} if psutil.POSIX else set()
    return sorted({*mount_of.values(), *top})


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # below a folder that is closed to us
        return False


_IMAGES = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"})


def disks(psutil: Psutil) -> list[Reading]:
    """What went through each disk."""
    said = psutil.disk_io_counters(perdisk=True, nowrap=True)
    names = _whole(said)
    return _counters(
        "device",
        {name: said[name] for name in names},
        (
            (cat.DISK_READ_BYTES, "read_bytes"),
            (cat.DISK_WRITE_BYTES, "write_bytes"),
            (cat.DISK_READ_OPS, "read_count"),
            (cat.DISK_WRITE_OPS, "write_count"),
        ),
    )


# what is made of other devices, of memory or of a network, so that nothing is counted twice
_VIRTUAL = re.compile(r"(loop|z?ram|dm-|md|nbd|drbd|zd|fd|sr)\d+.*")
_PARTITION = re.compile(r"(?P<disk>.*\dp|.*\D)\d+")


def _whole(names: Collection[str]) -> list[str]:
    """The disks among devices: no partition (`sda1` of `sda`, `nvme0n1p1` of `nvme0n1`) and nothing virtual."""

    def is_part(name: str) -> bool:
        match = _PARTITION.fullmatch(name)
        return match is not None and _disk_of(match["disk"]) in names

    return sorted(name for name in names if not _VIRTUAL.fullmatch(name) and not is_part(name))


def _disk_of(stem: str) -> str:
    """A disk whose own name ends in a digit has a `p` before the number of a partition."""
    return stem[:-1] if re.fullmatch(r".*\dp", stem) else stem


def network(psutil: Psutil) -> list[Reading]:
    """What went through each interface but the loopback."""
    said = psutil.net_io_counters(pernic=True, nowrap=True)
    families = [
        (cat.RECEIVE_BYTES, "bytes_recv"),
        (cat.TRANSMIT_BYTES, "bytes_sent"),
        (cat.RECEIVE_PACKETS, "packets_recv"),
        (cat.TRANSMIT_PACKETS, "packets_sent"),
        (cat.RECEIVE_ERRORS, "errin"),
    ]
    if not (psutil.MACOS or psutil.BSD):  # they do not count them, psutil says 0
        families.append((cat.TRANSMIT_DROPS, "dropout"))
    return _counters("interface", {name: said[name] for name in sorted(said) if not _LOOPBACK.match(name)}, families)


_LOOPBACK = re.compile(r"lo\d*$|Loopback")


def _counters(label: str, said: Mapping[str, Any], families: Collection[tuple[Family, str]]) -> list[Reading]:
    return [by(label, family, {key: getattr(of, name) for key, of in said.items()}) for family, name in families]


class BootTime:
    """When the machine was booted. The kernel works it out from the clock, so it shakes; what is within 5 s is held."""

    def __init__(self, psutil: Psutil) -> None:
        self._psutil = psutil
        self._held_s = 0.0

    def __call__(self) -> list[Reading]:
        said = self._psutil.boot_time()
        if abs(said - self._held_s) > 5.0:
            self._held_s = said
        return [single(cat.BOOT_TIME, self._held_s)]


Read = Callable[[], list[Reading]]
