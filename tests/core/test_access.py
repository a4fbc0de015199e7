from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from aigateway_core.access import Access, ClientAuth, Role
from aigateway_core.errors import ForbiddenError, UnauthorizedError, UnavailableError
from aigateway_core.guesses import Guesses
from aigateway_core.records import Caller
from aigateway_core.secret import Secret
from aigateway_core.snapshot import CurrentSnapshot, KeyEntry, Snapshot
from aigateway_core.state.memory import MemoryState

CLIENT, ADMIN = "gwcli_client01_secretpart", "gwadm_admin001_secretpart"


def digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def entry(key: str, role: Role) -> KeyEntry:
    return KeyEntry(hash=digest(key), caller=Caller(id=key.split("_")[1], role=role))


def access(
    *stored: KeyEntry,
    client_auth: ClientAuth = "auto",
    local: bool = True,
    fixed: dict[Role, Secret] | None = None,
    sure: bool = True,
) -> Access:
    snapshot = CurrentSnapshot()
    snapshot.value = Snapshot(
        version=1,
        keys={key.caller.id: key for key in stored},
        client_keys_exist=any(key.caller.role == "client" for key in stored),
    )
    return Access(
        snapshot,
        verify=lambda key, stored_hash: digest(key) == stored_hash,
        key_id=lambda key: key.split("_")[1] if key.count("_") == 2 else "",
        client_auth=client_auth,
        local=local,
        fixed=fixed,
        sure=lambda: sure,
        guesses=Guesses(MemoryState(), {"client": 20, "admin": 5}),
    )


def test_on_loopback_without_any_client_key_nobody_is_asked() -> None:
    caller = access(entry(ADMIN, "admin")).admit("client", [])
    assert (caller.id, caller.role) == ("-", "client")


def test_what_an_sdk_sends_for_want_of_a_key_does_no_harm_while_none_is_needed() -> None:
    assert access().admit("client", ["sk-unused"]).id == "-"


PAGE = "a web page"
HERE = [
    "localhost",
    "localhost:8088",
    "127.0.0.1:8088",
    "127.8.0.1",
    "[::1]:8088",
    "[::1]",
    "LocalHost:1",
    "a.localhost",
]
ELSEWHERE = ["evil.example", "evil.example:8088", "localhost.evil.example", "10.0.0.1", "[fe80::1]", "", "[", "a b"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", ""])
def test_without_a_key_no_web_page_may_spend_the_accounts(origin: str) -> None:
    for door in (access(), access(client_auth="open"), access(client_auth="open", local=False)):
        with pytest.raises(ForbiddenError, match=PAGE):
            door.admit("client", [], origin=origin, host="localhost:8088")


def test_a_program_that_shows_any_key_at_all_is_no_foreign_page_since_browsers_would_have_asked_first() -> None:
    assert access().admit("client", ["sk-unused"], origin="file://", host="localhost:8088").id == "-"


@pytest.mark.parametrize("host", ELSEWHERE)
def test_without_a_key_a_name_that_was_bent_to_this_machine_opens_nothing(host: str) -> None:
    for presented in ([], ["sk-unused"]):
        with pytest.raises(ForbiddenError, match=PAGE):
            access().admit("client", presented, host=host)


@pytest.mark.parametrize("host", HERE)
def test_this_machine_goes_by_several_names(host: str) -> None:
    assert access().admit("client", [], host=host).id == "-"


@pytest.mark.parametrize("local", [True, False])
def test_where_everybody_is_let_in_any_name_will_do(local: bool) -> None:
    assert access(client_auth="open", local=local).admit("client", [], host="ai.example").id == "-"


def test_a_web_page_that_shows_a_key_is_a_client_like_any_other() -> None:
    door = access(entry(CLIENT, "client"))
    assert door.admit("client", [CLIENT], origin="https://app.example", host="evil.example").id == "client01"


def test_the_first_client_key_closes_the_door() -> None:
    with pytest.raises(UnauthorizedError):
        access(entry(CLIENT, "client")).admit("client", [])
    with pytest.raises(UnauthorizedError):
        access(fixed={"client": Secret("k" * 40)}).admit("client", [])


def test_beyond_loopback_a_key_is_needed_unless_the_setting_says_open() -> None:
    with pytest.raises(UnauthorizedError):
        access(local=False).admit("client", [])
    assert access(local=False, client_auth="open").admit("client", []).id == "-"


def test_whoever_was_forwarded_shows_a_key_unless_the_setting_says_open() -> None:
    for key in ([], ["sk-unused"]):
        with pytest.raises(UnauthorizedError):
            access().admit("client", key, forwarded=True)
    assert access(client_auth="open").admit("client", [], forwarded=True).id == "-"
    assert access(entry(CLIENT, "client")).admit("client", [CLIENT], forwarded=True).id == "client01"


@pytest.mark.parametrize("client_auth", ["auto", "required", "open"])
def test_only_this_machine_sees_without_a_key_how_the_gateway_does(client_auth: ClientAuth) -> None:
    door = access(entry(ADMIN, "admin"), client_auth=client_auth)
    assert door.admit_reader([]).id == "-"
    for said in ({"forwarded": True}, {"origin": "https://evil.example"}, {"host": "evil.example"}):
        with pytest.raises(UnauthorizedError):
            door.admit_reader([], **said)  # type: ignore[arg-type]
    with pytest.raises(UnauthorizedError):
        access(local=False, client_auth=client_auth).admit_reader([])
    assert door.admit_reader([ADMIN], forwarded=True).id == "admin001"


def test_required_means_required_even_on_loopback() -> None:
    with pytest.raises(UnauthorizedError):
        access(client_auth="required").admit("client", [])


def test_a_stored_key_is_known_by_its_public_part() -> None:
    assert access(entry(CLIENT, "client")).admit("client", [CLIENT]).id == "client01"


def test_a_key_opens_nothing_once_it_has_expired() -> None:
    now = datetime.now(UTC)
    fresh = attrs.evolve(entry(CLIENT, "client"), expires_at=now + timedelta(hours=1))
    assert access(fresh).admit("client", [CLIENT]).id == "client01"
    with pytest.raises(UnauthorizedError):
        access(attrs.evolve(fresh, expires_at=now - timedelta(seconds=1))).admit("client", [CLIENT])


def test_case_161_of_two_keys_the_valid_one_counts() -> None:
    assert access(entry(CLIENT, "client")).admit("client", ["sk-other", CLIENT]).id == "client01"


def test_an_admin_key_is_no_client_key_and_the_other_way_round() -> None:
    both = access(entry(CLIENT, "client"), entry(ADMIN, "admin"))
    assert both.admit("admin", [ADMIN]).role == "admin"
    for role, key in (("client", ADMIN), ("admin", CLIENT)):
        with pytest.raises(UnauthorizedError):
            both.admit(role, [key])  # type: ignore[arg-type]


def test_s_12_the_admin_always_has_to_show_a_key() -> None:
    with pytest.raises(UnauthorizedError):
        access(client_auth="open").admit("admin", [])


def test_a_key_in_the_environment_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr("hmac.compare_digest", spy)
    door = access(fixed={"admin": Secret(ADMIN)})
    assert door.admit("admin", [ADMIN]).id == "environment"
    with pytest.raises(UnauthorizedError):
        door.admit("admin", ["gwadm_admin001_x"])
    assert compared == [ADMIN.encode(), b"gwadm_admin001_x"]


def test_an_admin_key_in_the_environment_is_the_only_one() -> None:
    fixed = access(entry(ADMIN, "admin"), fixed={"admin": Secret("e" * 40)})
    assert fixed.admit("admin", ["e" * 40]).id == "environment"
    with pytest.raises(UnauthorizedError):
        fixed.admit("admin", [ADMIN])


def test_a_client_key_in_the_environment_is_one_more() -> None:
    fixed = access(entry(CLIENT, "client"), fixed={"client": Secret("e" * 40)})
    assert fixed.admit("client", ["e" * 40]).id == "environment"
    assert fixed.admit("client", [CLIENT]).id == "client01"


@pytest.mark.parametrize(
    "key", ["", "x", "gwcli_client01_wrongsecret", "gwcli_nobody01_x", "ключ_ключ_ключ", "a" * 70000, "\udcff"]
)
def test_every_wrong_key_is_refused_with_the_same_words(key: str) -> None:
    door = access(entry(CLIENT, "client"), fixed={"client": Secret("e" * 40)})
    with pytest.raises(UnauthorizedError) as none:
        door.admit("client", [])
    with pytest.raises(UnauthorizedError) as wrong:
        door.admit("client", [key])
    assert wrong.value.message == none.value.message


@pytest.mark.parametrize("role", ["client", "admin"])
def test_d_05_a_key_that_may_have_been_made_meanwhile_is_not_refused_for_good_while_nobody_can_look(role: Role) -> None:
    key = {"client": CLIENT, "admin": ADMIN}[role]
    late = key.replace("01_", "02_")
    blind = access(entry(key, role), client_auth="required", sure=False)
    assert blind.admit(role, [key]).id == key.split("_")[1]
    with pytest.raises(UnavailableError, match="cannot look it up") as told:
        blind.admit(role, [late])
    assert told.value.retry_after
    with pytest.raises(UnauthorizedError):
        access(entry(key, role), client_auth="required").admit(role, [late])


@pytest.mark.parametrize("wrong", [f"{CLIENT}x", "no-key", ""], ids=["known by name", "of no form", "empty"])
def test_a_key_that_can_be_none_is_refused_all_the_same(wrong: str) -> None:
    with pytest.raises(UnauthorizedError):
        access(entry(CLIENT, "client"), sure=False).admit("client", [wrong])


def test_where_the_environment_gives_the_admin_key_every_other_one_is_wrong_for_good() -> None:
    with pytest.raises(UnauthorizedError):
        access(fixed={"admin": Secret("a" * 40)}, sure=False).admit("admin", [ADMIN])


class Counting:
    """A door whose hashing is counted."""

    def __init__(self, *stored: KeyEntry) -> None:
        self.hashed: list[str] = []
        self.snapshot = CurrentSnapshot()
        self.store(*stored)
        self.door = Access(
            self.snapshot,
            verify=self._verify,
            key_id=lambda key: key.split("_")[1] if key.count("_") == 2 else "",
            client_auth="required",
            local=True,
            guesses=Guesses(MemoryState(), {"client": 20, "admin": 5}),
        )

    def store(self, *stored: KeyEntry) -> None:
        self.snapshot.value = Snapshot(keys={key.caller.id: key for key in stored}, client_keys_exist=True)

    def _verify(self, key: str, stored_hash: str) -> bool:
        self.hashed.append(key)
        return digest(key) == stored_hash


def test_a_key_that_was_right_is_not_hashed_again() -> None:
    it = Counting(entry(CLIENT, "client"))
    assert [it.door.admit("client", [CLIENT]).id for _ in range(3)] == ["client01"] * 3
    it.store(entry(CLIENT, "client"), entry(ADMIN, "admin"))
    assert it.door.admit("client", [CLIENT]).id == "client01"
    assert it.hashed == [CLIENT]


def test_a_key_that_was_right_opens_nothing_once_it_is_revoked_expired_renewed_or_of_another_role() -> None:
    known = entry(CLIENT, "client")
    past = datetime.now(UTC) - timedelta(seconds=1)
    for later in (
        (),
        (attrs.evolve(known, expires_at=past),),
        (attrs.evolve(known, hash=digest("another")),),
        (attrs.evolve(known, caller=Caller(id="client01", role="admin")),),
    ):
        it = Counting(known)
        assert it.door.admit("client", [CLIENT]).id == "client01"
        it.store(*later)
        for _ in range(2):
            with pytest.raises(UnauthorizedError):
                it.door.admit("client", [CLIENT])


def test_a_wrong_key_is_hashed_each_time_whatever_it_shares_with_a_right_one() -> None:
    it = Counting(entry(CLIENT, "client"))
    it.door.admit("client", [CLIENT])
    for wrong in (CLIENT + "x", CLIENT[:-1], CLIENT.upper().replace("CLIENT01", "client01")) * 2:
        with pytest.raises(UnauthorizedError):
            it.door.admit("client", [wrong])
    assert len(it.hashed) == 7
    assert it.door.admit("client", ["", CLIENT]).id == "client01"


def test_a_key_that_is_no_text_is_a_wrong_one() -> None:
    with pytest.raises(UnauthorizedError):
        Counting(entry(CLIENT, "client")).door.admit("client", ["gwcli_client01_\udcff"])


def test_keys_that_were_right_are_kept_without_a_word_of_them_and_not_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aigateway_core.access._MOST_VERIFIED", 5)
    keys = [f"gwcli_number{number:02}_secretpart" for number in range(20)]
    it = Counting(*(entry(key, "client") for key in keys))
    for key in keys:
        assert it.door.admit("client", [key]).id == key.split("_")[1]
    assert 0 < len(it.door._verified) <= 5
    assert "secretpart" not in repr(it.door.__dict__)
