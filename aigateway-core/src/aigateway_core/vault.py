"""What is secret at rest: sealing of credentials, hashing of keys, and the master keys both hang on.

A sealed value reads ``v1:<kid>:<base64url of nonce and ciphertext>`` and is bound to the place it was sealed for, so
that a value copied into another row does not open. The cipher is AES-256-GCM with a random 96-bit nonce (NIST SP
800-38D). The cipher key, the pepper of the hashes and the key's public name (``kid``) are each derived from a master
key with HKDF (RFC 5869), so that none of them tells anything about the others.

Keys of the gateway's own (``gwadm_…``, ``gwcli_…``) have 256 random bits, so a keyed hash is enough to store them:
there is nothing to guess, and a slow hash would only slow down every request.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import os
import re
import secrets
import stat
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from typing_extensions import override

from aigateway_core.disk import sync_folder, write_durably
from aigateway_core.errors import ConfigurationError
from aigateway_core.secret import Secret

MASTER_KEY_VARIABLE = "AIGATEWAY_MASTER_KEY"

KeyKind: TypeAlias = Literal["adm", "cli"]
"""``adm``: an admin key; ``cli``: a client key."""

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID_ALPHABET = string.ascii_lowercase + string.digits
_KEY_SHAPE = re.compile(r"gw(?:adm|cli)_([a-z0-9]{8})_[A-Za-z0-9_-]{43}")
_SEALED_SHAPE = re.compile(r"v1:([0-9a-f]{8}):([A-Za-z0-9_-]+={0,2})")
_HOW_TO_MAKE_ONE = "`openssl rand -base64 32` makes one"


class VaultError(Exception):
    """A sealed value does not open: another master key, a changed value, or a value from another place.

    The message holds no secret. It never reaches a client: whoever opens a value decides what its loss means.
    """


@attrs.frozen
class Place:
    """Where a sealed value lives. It opens nowhere else."""

    table: str
    column: str
    row: str

    @override
    def __str__(self) -> str:
        return f"{self.table}.{self.column} of {self.row}"


class _MasterKey:
    __slots__ = ("cipher", "kid", "pepper")

    def __init__(self, key: bytes) -> None:
        self.kid = _derive(key, b"aigateway kid", 4).hex()
        self.cipher = AESGCM(_derive(key, b"aigateway sealing", _KEY_BYTES))
        self.pepper = _derive(key, b"aigateway pepper", _KEY_BYTES)


class KeyRing:
    """One or more master keys: the first seals and hashes, all of them open and verify."""

    __slots__ = ("_by_kid", "_first")

    def __init__(self, keys: Sequence[bytes]) -> None:
        ring = [_MasterKey(key) for key in keys]
        self._first = ring[0]
        self._by_kid = {key.kid: key for key in ring}

    @override
    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._by_kid)})"

    @property
    def kids(self) -> tuple[str, ...]:
        """The public names of the keys, the sealing one first."""
        return tuple(self._by_kid)

    @property
    def mark(self) -> str:
        """How everything begins that the first key has sealed or hashed."""
        return f"v1:{self._first.kid}:"

    @classmethod
    def parse(cls, text: str, source: str = MASTER_KEY_VARIABLE) -> KeyRing:
        """The ring that ``text`` spells: keys of 32 bytes in base64, separated by commas or line ends.

        Raises :class:`ConfigurationError` that names ``source`` and the number of the key, never its value.
        """
        words = [word.strip() for word in re.split(r"[,\n]", text) if word.strip()]
        if not words:
            raise ConfigurationError(f"{source} is empty: it has to hold a master key; {_HOW_TO_MAKE_ONE}")
        keys = [_decode(word, f"{source}, key {number}") for number, word in enumerate(words, 1)]
        if len(set(keys)) < len(keys):
            raise ConfigurationError(f"{source} names the same key twice: each key of the ring must differ")
        return cls(keys)

    def seal(self, text: str, place: Place) -> str:
        """``text``, readable only with this ring's first key and only at ``place``."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._first.cipher.encrypt(nonce, text.encode(), _bound_to(place, self._first.kid))
        return f"v1:{self._first.kid}:{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, place: Place) -> str:
        """What was sealed for ``place``. Raises :class:`VaultError`."""
        match = _SEALED_SHAPE.fullmatch(sealed)
        if match is None:
            raise VaultError(f"{place} is not a sealed value")
        key = self._by_kid.get(match[1])
        if key is None:
            raise VaultError(f"{place} was sealed with the master key {match[1]}, which is not in the ring")
        try:
            raw = base64.b64decode(match[2], altchars=b"-_", validate=True)
            return key.cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(place, key.kid)).decode()
        except (InvalidTag, ValueError):
            raise VaultError(f"{place} was changed, or was sealed for another place") from None

    def hash_key(self, key: str) -> str:
        """``v1:<kid>:<hex>``: what is stored of a key of the gateway's own."""
        return f"v1:{self._first.kid}:{_hmac(self._first, key)}"

    def verify(self, key: str, stored: str | None) -> bool:
        """Whether ``stored`` was made from ``key``. An unknown key (None) takes as long as a wrong one."""
        version, _, rest = (stored or "").partition(":")
        kid, _, digest = rest.partition(":")
        master = self._by_kid.get(kid) if version == "v1" else None
        same = hmac.compare_digest(_hmac(master or self._first, key).encode(), digest.encode())
        return same and master is not None

    def fingerprint(self, secret: str) -> str:
        """Twelve hexadecimal digits that tell whether two secrets are the same, and nothing else: for the audit log."""
        return _hmac(self._first, "fingerprint:" + secret)[:12]


def load_key_ring(value: Secret | None, database: Path | None) -> KeyRing:
    """The ring in ``value`` (the setting ``AIGATEWAY_MASTER_KEY``), else the one in the key file beside a SQLite file.

    The key file is ``<database>.key``; it is made on first use. With a MySQL database (``database`` is None) the value
    has to be given. Raises :class:`ConfigurationError`.
    """
    if value is not None:
        return KeyRing.parse(value.reveal())
    if database is None:
        raise ConfigurationError(
            f"{MASTER_KEY_VARIABLE} is not set: a MySQL database asks for the master key that seals the credentials; "
            f"{_HOW_TO_MAKE_ONE}"
        )
    path = database.with_name(database.name + ".key")
    try:
        text = _read_key_file(path)
        return KeyRing.parse(_make_key_file(path, database) if text is None else text, f"the key file {path}")
    except OSError as error:
        problem = f"the key file {path} cannot be used ({error.strerror}): mend that, or set {MASTER_KEY_VARIABLE}"
        raise ConfigurationError(problem) from None


def new_key(kind: KeyKind) -> Secret:
    """A fresh key of the gateway's own: ``gwadm_<id>_<secret>`` or ``gwcli_<id>_<secret>``, of 256 random bits."""
    public = "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
    return Secret(f"gw{kind}_{public}_{secrets.token_urlsafe(_KEY_BYTES)}")


def key_id(key: str) -> str:
    """The public part of a key, by which it is looked up; empty for what does not have the shape of one."""
    match = _KEY_SHAPE.fullmatch(key)
    return match[1] if match else ""


def _derive(key: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(key)


def _bound_to(place: Place, kid: str) -> bytes:
    return f"{place.table}|{place.column}|{place.row}|{kid}".encode()


def _hmac(master: _MasterKey, text: str) -> str:
    # A header may hold what is no valid text; it is hashed all the same, so that it is refused like any wrong key.
    return hmac.digest(master.pepper, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def _decode(word: str, source: str) -> bytes:
    padded = word.replace("+", "-").replace("/", "_").rstrip("=")
    with contextlib.suppress(binascii.Error, ValueError):
        key = base64.b64decode(padded + "=" * (-len(padded) % 4), altchars=b"-_", validate=True)
        if len(key) == _KEY_BYTES and len(set(key)) > 1:
            return key
    raise ConfigurationError(f"{source}: not a master key, which is 32 random bytes in base64; {_HOW_TO_MAKE_ONE}")


def _read_key_file(path: Path) -> str | None:
    try:
        # Without waiting for a writer, should it be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        _check_key_file(path, os.fstat(descriptor))
        return os.read(descriptor, 65536).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def _check_key_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"the key file {path} is not a plain file")
    if status.st_uid != os.geteuid():
        raise ConfigurationError(f"the key file {path} belongs to user {status.st_uid}: run as that user")
    if status.st_mode & 0o077:
        raise ConfigurationError(f"the key file {path} can be read by others: chmod 600 {path}")


def _make_key_file(path: Path, database: Path) -> str:
    if _holds_data(database):
        # The key is always made before its database, so another process may have made both since we looked.
        if (made := _read_key_file(path)) is not None:
            return made
        raise ConfigurationError(
            f"the database {database} exists, but its key file {path} does not: "
            f"restore that file, or set {MASTER_KEY_VARIABLE} to the key"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_durably(draft, base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
        # A link appears whole or not at all, and never over a file that is there.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
            sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
    stored = _read_key_file(path)
    if stored is None:
        raise ConfigurationError(f"the key file {path} went away while it was being made")
    return stored


def _holds_data(database: Path) -> bool:
    try:
        return database.stat().st_size > 0
    except FileNotFoundError:
        return False
