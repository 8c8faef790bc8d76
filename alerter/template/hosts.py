"""Host and port. Source: Go net, ipsock.go, SplitHostPort and JoinHostPort."""

from __future__ import annotations

import ipaddress


def split_host_port(text: str) -> tuple[str, str] | None:
    """`host:port`, `[host]:port` as its two parts; None if it is not of that form."""
    host, colon, port = text.rpartition(":")
    if not colon:
        return None
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        if not bracket or rest != f":{port}" or any(char in inner for char in "[]"):
            return None
        host = inner
    elif ":" in host or "[" in host or "]" in host:
        return None
    return None if "[" in port or "]" in port else (host, port)


def strip_port(text: str) -> str:
    """The host; the text itself where it is not `host:port`."""
    parts = split_host_port(text)
    return text if parts is None else parts[0]


def strip_domain(text: str) -> str:
    """The host's first name with the port, if there is one; addresses stay whole."""
    host, port = split_host_port(text) or (text, "")
    if _is_address(host):
        return text
    name = host.split(".")[0]
    if not port:
        return name
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host
