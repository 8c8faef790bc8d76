"""Who may do what: TLS, basic auth and tokens from `--web.config.file`, for both processes.

The file has the exporter toolkit's format, of which these parts are known, and tokens besides:

    tls_server_config: {cert_file: server.crt, key_file: server.key}
    basic_auth_users: {alice: $2y$10$…}        # bcrypt; with any user here every request needs one
    tokens: {deploy: 6f1c…}                    # Authorization: Bearer 6f1c…

Source: prometheus/exporter-toolkit, docs/web-configuration.md.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import importlib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

_NOBODY = "$2b$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"  # the time an unknown user's check takes


class WebConfigError(Exception):
    """The file cannot be used. The message names the place and never a secret."""


class TLS(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where certificate and key are; relative paths are relative to the file."""

    cert_file: str
    key_file: str


class WebConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    tls_server_config: TLS | None = None
    basic_auth_users: dict[str, str] = {}
    tokens: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Access:
    """What a request needs. users: bcrypt hashes by name; tokens: by name. `ssl` is None for plain HTTP."""

    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    ssl: ssl.SSLContext | None = None


def load(path: Path) -> Access:
    """The access rules of a file. Raises WebConfigError."""
    try:
        tree: Any = yaml.safe_load(path.read_text("utf-8")) or {}
        config = msgspec.convert(tree, WebConfig)
    except (OSError, UnicodeDecodeError) as err:
        raise WebConfigError(f"{path}: cannot be read: {type(err).__name__}") from err
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        raise WebConfigError(f"{path}: not YAML{f', line {mark.line + 1}' if mark else ''}") from None
    except msgspec.ValidationError as err:
        raise WebConfigError(f"{path}: {err}") from None
    return Access(_users(path, config), _tokens(path, config), _tls(path, config.tls_server_config))


def _users(path: Path, config: WebConfig) -> Mapping[str, str]:
    for user, hashed in config.basic_auth_users.items():
        if not hashed.startswith(("$2a$", "$2b$", "$2y$")):
            raise WebConfigError(f"{path}: basic_auth_users: {user}: must be a bcrypt hash")
    return config.basic_auth_users


def _tokens(path: Path, config: WebConfig) -> Mapping[str, str]:
    for name, token in config.tokens.items():
        if len(token) < 16:
            raise WebConfigError(f"{path}: tokens: {name}: must have at least 16 characters")
    return config.tokens


def _tls(path: Path, tls: TLS | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(path.parent / tls.cert_file, path.parent / tls.key_file)
    except (OSError, ssl.SSLError) as err:
        raise WebConfigError(f"{path}: tls_server_config: {type(err).__name__}: {err.strerror or err}") from err
    return context


def bcrypt_matches(password: str, hashed: str) -> bool:
    """Whether a password has this bcrypt hash. Takes as long as the hash says, tens of milliseconds."""
    bcrypt: Any = importlib.import_module("bcrypt")  # only where there are users
    return bool(bcrypt.checkpw(password.encode()[:72], hashed.encode()))


Verify = Callable[[str, str], bool]


class Keyring:
    """Knows whose `Authorization` header is good. `verify` compares a password with its hash."""

    def __init__(self, access: Access, verify: Verify = bcrypt_matches) -> None:
        self._access = access
        self._verify = verify
        self._known: dict[bytes, bool] = {}

    @property
    def challenge(self) -> str:
        """What an answer of 401 asks for."""
        return 'Basic realm="openmanager"' if self._access.users else "Bearer"

    async def knows(self, authorization: str) -> str:
        """Whose it is, the name of a token or of a user; "" for nobody's."""
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() == "bearer":
            given = rest.strip().encode()
            right = [name for name, token in self._access.tokens.items() if hmac.compare_digest(given, token.encode())]
            return (right[0] or "token") if right else ""
        if scheme.lower() == "basic" and self._access.users:
            return await self._user(rest)
        return ""

    async def _user(self, encoded: str) -> str:
        """The user of a name and password, "" if that is not theirs."""
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
        key = hashlib.sha256(f"{user}\0{password}".encode()).digest()
        if key not in self._known:
            right = await asyncio.to_thread(self._verify, password, self._access.users.get(user, _NOBODY))
            if len(self._known) > 100:
                self._known.clear()
            self._known[key] = right and user in self._access.users
        return user if self._known[key] else ""


def is_local(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine only."""
    return host in ("localhost", "::1") or host.startswith("127.")
