"""PostgreSQL over TLS with everything checked: where passwords come from, and what is told when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from florin_io.postgres import Database, PostgresAddressError, PostgresUnreachable, checked_option, without_password
from jobs import read_model
from tests.certificates import Authority
from tests.cluster.secure_postgres import PASSWORD, USER, SecurePostgres, secure_postgres
from transforms.read_model import schema
from transforms.subledger_db import schema as ledger

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def secure() -> Iterator[SecurePostgres]:
    with secure_postgres() as made:
        yield made


def is_encrypted(address: str) -> bool:
    with Database(address, "public").connect(application="test") as connection:
        found = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    return found == (True,)


@pytest.mark.parametrize("source", ["PGPASSWORD", "PGPASSFILE", "FLORIN_POSTGRES"])
def test_a_password_comes_from_the_environment_or_a_file(
    secure: SecurePostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    file = tmp_path / "pgpass"
    file.touch(0o600)
    file.write_text(f"*:*:*:{USER}:{PASSWORD}\n")
    with_password = secure.address().replace(f"{USER}@", f"{USER}:{PASSWORD}@")
    told = {"PGPASSWORD": PASSWORD, "PGPASSFILE": str(file), "FLORIN_POSTGRES": with_password}
    monkeypatch.setenv(source, told[source])
    address = checked_option(secure.address())
    assert "verify-full" in address
    assert is_encrypted(address)


def test_the_systems_that_make_tables_make_them_over_tls(
    secure: SecurePostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    schema.prepare(Database(secure.address(), "tls_read_model"))
    ledger.prepare(ledger.LedgerDatabase(secure.address(), "tls_ledger"))
    assert read_model.main(["rebuild", "--yes", f"--postgres={secure.address()}", "--schema=tls_rebuilt"]) == 0


def test_a_certificate_can_stand_for_the_password(secure: SecurePostgres) -> None:
    client = secure.authority.issue(USER)
    assert is_encrypted(secure.address("certified", sslcert=str(client.chain), sslkey=str(client.key)))


def test_what_is_wrong_is_told_with_its_place_and_remedy(
    secure: SecurePostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(secure.folder / "other")
    stranger = other.issue(USER)
    for address, password, told in (
        (secure.address(), "another", r"password authentication failed.*PGPASSWORD, in the file of PGPASSFILE"),
        (secure.address(), "", r"no password supplied.*PGPASSWORD.*environment of the TaskManagers"),
        (
            secure.address(sslrootcert=str(other.ca)), PASSWORD,
            rf"(unable to get local issuer|self-signed certificate in).*look at sslrootcert.*{other.ca}",
        ),
        (secure.address(sslrootcert="/nowhere/ca.pem"), PASSWORD, r'"/nowhere/ca.pem" does not exist.*on every'),
        (secure.address(host="127.0.0.1"), PASSWORD, r"does not match host name.*connect by a name that is in"),
        (secure.address(sslmode="disable"), PASSWORD, r"no encryption.*without TLS it may not: sslmode=verify-full"),
        (secure.address("certified"), PASSWORD, r"valid client certificate.*look at sslcert and sslkey"),
        (
            secure.address("certified", sslcert=str(stranger.chain), sslkey=str(stranger.key)), PASSWORD,
            r"alert.*did not take our certificate.*sslcert",
        ),
    ):  # fmt: skip
        monkeypatch.setenv("PGPASSWORD", password)
        with pytest.raises(PostgresUnreachable, match=f"(?s){told}") as caught:
            Database(address, "public").connect(application="test")
        assert PASSWORD not in str(caught.value)


def test_an_expired_certificate_of_the_server_is_named(secure: SecurePostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    late = secure.authority.issue("late", "localhost", expired=True)
    told = r"refused \(certificate has expired\); look at sslrootcert"
    with secure.serving(late), pytest.raises(PostgresUnreachable, match=told):
        Database(secure.address(), "public").connect(application="test")


@pytest.mark.parametrize("name", ["password", "sslpassword"])
def test_secrets_of_an_address_are_no_option_and_are_not_shown(name: str) -> None:
    address = f"postgresql://db:5432/x?sslmode=verify-full&{name}=hidden"
    with pytest.raises(PostgresAddressError, match=f"holds a {name}, and options are visible") as caught:
        checked_option(address)
    assert "hidden" not in str(caught.value)
    assert "hidden" not in without_password(address)
    assert "verify-full" in without_password(address)
