"""Sealing, hashing, and where the master key comes from."""

from __future__ import annotations

import base64
import hmac
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.errors import ConfigurationError
from aigateway_core.secret import MASK, Secret, scrub
from aigateway_core.vault import KeyRing, Place, VaultError, key_id, load_key_ring, new_key

HERE = Place("accounts", "auth_data", "a1")


def master(byte: int) -> bytes:
    return bytes((byte + position) % 256 for position in range(32))


def spelled(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing([master(1)])


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_again(text: str) -> None:
    ring = KeyRing([master(1)])
    assert ring.open(ring.seal(text, HERE), HERE) == text


def test_a_sealed_value_names_its_key_and_shows_nothing_else(ring: KeyRing) -> None:
    sealed = ring.seal("sk-very-secret", HERE)
    version, kid, rest = sealed.split(":")
    assert (version, kid) == ("v1", ring.kids[0])
    assert b"secret" not in base64.urlsafe_b64decode(rest)


def test_the_same_text_never_seals_to_the_same_value(ring: KeyRing) -> None:
    assert len({ring.seal("x", HERE) for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "elsewhere",
    [Place("accounts", "auth_data", "a2"), Place("accounts", "proxy_url", "a1"), Place("providers", "auth_data", "a1")],
)
def test_a_value_opens_only_where_it_was_sealed_for(ring: KeyRing, elsewhere: Place) -> None:
    with pytest.raises(VaultError, match="changed, or was sealed for another place"):
        ring.open(ring.seal("x", HERE), elsewhere)


def test_a_changed_value_does_not_open(ring: KeyRing) -> None:
    version, kid, rest = ring.seal("sk-very-secret", HERE).split(":")
    raw = base64.urlsafe_b64decode(rest)
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        with pytest.raises(VaultError):
            ring.open(f"{version}:{kid}:{base64.urlsafe_b64encode(changed).decode()}", HERE)


@pytest.mark.parametrize(
    "junk", ["", "sk-plain", "v1:", "v1:00000000:", "v2:00000000:AAAA", "v1:zzzzzzzz:AA", "v1:0:é"]
)
def test_junk_is_a_vault_error_and_is_not_repeated(ring: KeyRing, junk: str) -> None:
    with pytest.raises(VaultError) as caught:
        ring.open(junk, HERE)
    assert junk == "" or junk not in str(caught.value)


def test_a_short_or_badly_spelled_value_is_a_vault_error(ring: KeyRing) -> None:
    for rest in ("AAAA", "A", "AA=A", base64.urlsafe_b64encode(bytes(12)).decode()):
        with pytest.raises(VaultError):
            ring.open(f"v1:{ring.kids[0]}:{rest}", HERE)


def test_another_master_key_is_named_by_its_public_name(ring: KeyRing) -> None:
    other = KeyRing([master(2)])
    with pytest.raises(VaultError, match=f"sealed with the master key {ring.kids[0]}, which is not in the ring"):
        other.open(ring.seal("x", HERE), HERE)


def test_the_first_key_seals_and_every_key_opens(ring: KeyRing) -> None:
    both = KeyRing([master(2), master(1)])
    assert both.open(ring.seal("old", HERE), HERE) == "old"
    assert KeyRing([master(2)]).open(both.seal("new", HERE), HERE) == "new"


def test_a_ring_shows_public_names_only(ring: KeyRing) -> None:
    assert repr(ring) == f"KeyRing({ring.kids[0]})"
    assert ring.kids[0] != master(1)[:4].hex()


# Keys of the gateway's own


def test_a_new_key_has_a_role_a_public_part_and_256_bits() -> None:
    key = new_key("adm").reveal()
    prefix, public, rest = key.split("_", 2)
    assert prefix == "gwadm"
    assert len(public) == 8
    assert len(base64.urlsafe_b64decode(rest + "=")) == 32
    assert key_id(key) == public
    assert new_key("cli").reveal().startswith("gwcli_")


def test_a_new_key_does_not_show_and_is_scrubbed_from_text() -> None:
    for _ in range(20):
        key = new_key("cli")
        assert key.reveal() not in f"{key} {key!r}"
        assert scrub(f"got {key.reveal()} here") == f"got {MASK} here"


@pytest.mark.parametrize(
    "text",
    ["", "gwadm_", "gwadm_abcdefgh_", "gwxyz_abcdefgh_" + "a" * 43, "gwadm_abcdefgh_" + "a" * 44, "x" * 70, "\udc80"],
)
def test_what_has_not_the_shape_of_a_key_has_no_public_part(text: str) -> None:
    assert key_id(text) == ""


def test_a_hash_verifies_its_key_and_no_other(ring: KeyRing) -> None:
    key, other = new_key("cli").reveal(), new_key("cli").reveal()
    stored = ring.hash_key(key)
    assert ring.verify(key, stored)
    assert not ring.verify(other, stored)
    assert not ring.verify(key + "x", stored)
    assert key not in stored


def test_a_hash_that_names_another_master_key_or_form_verifies_nothing(ring: KeyRing) -> None:
    version, kid, digest = ring.hash_key("a key").split(":")
    assert ring.verify("a key", f"{version}:{kid}:{digest}")
    assert not ring.verify("a key", f"{version}:{'0' * len(kid)}:{digest}")
    assert not ring.verify("a key", f"v0:{kid}:{digest}")


def test_a_hash_is_compared_in_constant_time_be_it_known_or_not(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return compare(one, other)

    monkeypatch.setattr("hmac.compare_digest", spy)
    stored = ring.hash_key("a key")
    assert [ring.verify(key, known) for key, known in (("a key", stored), ("b key", stored), ("a key", None))] == [
        *(True, False, False)
    ]
    assert compared == [64] * 3


def test_a_hash_needs_its_master_key(ring: KeyRing) -> None:
    key = new_key("cli").reveal()
    stored = ring.hash_key(key)
    assert not KeyRing([master(2)]).verify(key, stored)
    assert KeyRing([master(2), master(1)]).verify(key, stored)


@pytest.mark.parametrize("stored", [None, "", "v1", "v1:", "v1::", "v2:00000000:ff", "v1:00000000:é"])
def test_a_broken_or_missing_hash_verifies_nothing(ring: KeyRing, stored: str | None) -> None:
    assert not ring.verify(new_key("adm").reveal(), stored)


def test_an_empty_digest_verifies_nothing_even_under_a_known_key(ring: KeyRing) -> None:
    assert not ring.verify("", f"v1:{ring.kids[0]}:")


@pytest.mark.parametrize("shown", ["ключ", "\udcff\udc00", "a\0b", "x" * 65536])
def test_any_header_value_can_be_verified(ring: KeyRing, shown: str) -> None:
    assert not ring.verify(shown, ring.hash_key("something else"))


def test_a_fingerprint_tells_equal_from_different_and_depends_on_the_master_key(ring: KeyRing) -> None:
    assert ring.fingerprint("a") == ring.fingerprint("a") != ring.fingerprint("b")
    assert ring.fingerprint("a") != KeyRing([master(2)]).fingerprint("a")
    assert ring.fingerprint("a") not in ring.hash_key("a")


# The setting


def test_a_ring_is_parsed_from_base64_of_either_alphabet_with_or_without_padding() -> None:
    key = bytes(range(0xE0, 0x100))
    plain, url = base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()
    assert plain != url
    spellings = [plain, url, plain.rstrip("="), url.rstrip("=") + "\n", f" {url} "]
    assert {KeyRing.parse(text).kids for text in spellings} == {KeyRing([key]).kids}


def test_several_keys_are_separated_by_commas_or_lines() -> None:
    expected = KeyRing([master(1), master(2)]).kids
    assert KeyRing.parse(f"{spelled(master(1))}, {spelled(master(2))}").kids == expected
    assert KeyRing.parse(f"{spelled(master(1))}\n{spelled(master(2))}\n").kids == expected


@pytest.mark.parametrize(
    "bad", ["changeme", spelled(master(1))[:-4], spelled(master(1) + b"x"), spelled(bytes(32)), "é" * 43, "=" * 44]
)
def test_a_bad_key_is_refused_by_its_number_and_never_repeated(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="AIGATEWAY_MASTER_KEY, key 2: not a master key") as caught:
        KeyRing.parse(f"{spelled(master(1))},{bad}")
    assert bad not in caught.value.message
    assert spelled(master(1)) not in caught.value.message


@pytest.mark.parametrize("empty", ["", " ", ",", "\n,\n"])
def test_s_12_an_empty_setting_is_refused(empty: str) -> None:
    with pytest.raises(ConfigurationError, match="is empty"):
        KeyRing.parse(empty)


def test_the_same_key_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="same key twice"):
        KeyRing.parse(f"{spelled(master(1))},{spelled(master(1))}")


def test_a_mysql_database_asks_for_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="AIGATEWAY_MASTER_KEY is not set"):
        load_key_ring(None, None)


def test_the_setting_wins_over_the_key_file(tmp_path: Path) -> None:
    beside = load_key_ring(None, tmp_path / "a.db")
    given_ = load_key_ring(Secret(spelled(master(1))), tmp_path / "a.db")
    assert given_.kids == KeyRing([master(1)]).kids != beside.kids


# The key file


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "gateway.db"


def key_file(database: Path) -> Path:
    return database.with_name("gateway.db.key")


def test_the_key_file_is_made_on_first_use_for_its_owner_only(database: Path) -> None:
    before = os.umask(0)
    try:
        ring = load_key_ring(None, database)
    finally:
        os.umask(before)
    assert key_file(database).stat().st_mode & 0o777 == 0o600
    assert database.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in database.parent.iterdir()] == ["gateway.db.key"]
    assert load_key_ring(None, database).kids == ring.kids


def test_a_key_file_may_hold_a_ring(database: Path) -> None:
    old = load_key_ring(None, database)
    key_file(database).write_text(spelled(master(1)) + "\n" + key_file(database).read_text())
    assert load_key_ring(None, database).kids == (*KeyRing([master(1)]).kids, *old.kids)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_p_13_a_key_file_that_others_can_read_is_refused_with_the_way_out(database: Path, mode: int) -> None:
    load_key_ring(None, database)
    key_file(database).chmod(mode)
    with pytest.raises(ConfigurationError, match=r"can be read by others: chmod 600 .*gateway\.db\.key"):
        load_key_ring(None, database)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_file_of_another_user_is_refused(database: Path) -> None:
    load_key_ring(None, database)
    os.chown(key_file(database), 65534, -1)
    with pytest.raises(ConfigurationError, match="belongs to user 65534"):
        load_key_ring(None, database)


def test_a_folder_or_a_pipe_in_place_of_the_key_file_is_refused(database: Path) -> None:
    key_file(database).mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="not a plain file"):
        load_key_ring(None, database)
    key_file(database).rmdir()
    os.mkfifo(key_file(database), 0o600)
    with pytest.raises(ConfigurationError, match="not a plain file"):
        load_key_ring(None, database)


def test_a_link_that_leads_nowhere_is_refused_and_not_replaced(database: Path) -> None:
    database.parent.mkdir()
    key_file(database).symlink_to(database.with_name("gone"))
    with pytest.raises(ConfigurationError, match="went away"):
        load_key_ring(None, database)
    assert key_file(database).is_symlink()


def test_an_empty_key_file_is_refused_and_not_replaced(database: Path) -> None:
    database.parent.mkdir()
    key_file(database).touch(0o600)
    with pytest.raises(ConfigurationError, match="is empty"):
        load_key_ring(None, database)
    assert key_file(database).read_bytes() == b""


def test_a_damaged_key_file_is_refused_without_its_content(database: Path) -> None:
    database.parent.mkdir()
    key_file(database).touch(0o600)
    key_file(database).write_bytes(b"\xff\xfe nonsense")
    with pytest.raises(ConfigurationError, match="key 1: not a master key") as caught:
        load_key_ring(None, database)
    assert "nonsense" not in caught.value.message


def test_no_new_key_is_made_for_a_database_that_has_data(database: Path) -> None:
    database.parent.mkdir()
    database.write_bytes(b"data")
    with pytest.raises(ConfigurationError, match=r"exists, but its key file .* does not: restore"):
        load_key_ring(None, database)
    assert not key_file(database).exists()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_key_ring(None, tmp_path / "file" / "a.db")


def test_processes_that_start_together_share_one_key(database: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from aigateway_core.vault import load_key_ring;"
        "input(); print(load_key_ring(None, Path(sys.argv[1])).kids)"
    )
    command = [sys.executable, "-c", code, str(database)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = {process.communicate()[0] for process in processes}
    assert len(said) == 1
    assert said != {""}
    assert [path.name for path in database.parent.iterdir()] == ["gateway.db.key"]


def test_a_ring_cannot_be_pickled_away() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(KeyRing([master(1)]))
