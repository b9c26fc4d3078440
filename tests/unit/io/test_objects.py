"""Files by URL on the local disk; the same against an object store is in tests/cluster/test_subledger_load.py."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from florin_io import gcs
from florin_io.objects import ObjectExists, ObjectStore, ObjectStoreError

pytestmark = pytest.mark.unit
STORE = ObjectStore()


def test_a_file_is_stored_once_and_never_replaced(tmp_path: Path) -> None:
    url = str(tmp_path / "audit" / "a b.csv")
    assert STORE.upload(b"rows", url)
    assert not STORE.upload(b"rows", url)
    with pytest.raises(ObjectExists, match="another content"):
        STORE.upload(b"other rows", url)
    assert STORE.read(url) == b"rows"
    assert [path.name for path in (tmp_path / "audit").iterdir()] == ["a b.csv"]


def test_a_file_is_stored_from_a_path(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    assert STORE.upload(source, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_a_download_tells_the_sha256(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"rows" * 1_000_000)
    found = STORE.find(str(tmp_path / "source"))
    assert found.size == 4_000_000
    assert STORE.download(found, tmp_path / "sub" / "copy") == hashlib.sha256(b"rows" * 1_000_000).hexdigest()
    assert (tmp_path / "sub" / "copy").read_bytes() == b"rows" * 1_000_000


def test_parts_of_a_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    url = str(tmp_path / "f")
    assert STORE.read(url, 3, 4) == b"3456"
    assert STORE.read(url, 8, 4) == b"89"
    assert STORE.read(url, 20, 4) == b""


def test_a_listing_takes_a_prefix_and_leaves_out_what_is_half_written(tmp_path: Path) -> None:
    for name in ("day-1/b.csv", "day-1/a.csv", "day-2/a.csv", ".a.csv.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [Path(found.url).name for found in STORE.listing(str(tmp_path / "day-1"))] == ["a.csv", "b.csv"]
    assert len(STORE.listing(str(tmp_path / "day-"))) == 3
    assert STORE.listing(str(tmp_path / "day-3")) == []
    # Nothing of the folder above.
    assert STORE.listing(f"{tmp_path}/day-3/") == []
    assert STORE.listing(f"{tmp_path}/none/day-1/a") == []
    assert len(STORE.listing(f"{tmp_path}/day-1/a")) == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.csv: there is no such file"):
        STORE.find(str(tmp_path / "none.csv"))


def test_a_folder_and_another_kind_of_address_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is a folder, and no file; a pattern names its files: .*/\\*"):
        STORE.find(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no such file; of addresses gs://bucket/name is understood"):
        STORE.find("s3://bucket/name")


def test_google_s_own_store_without_credentials_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> None:
        raise gcs.auth.DefaultCredentialsError("no credentials were found")

    monkeypatch.setattr(gcs, "_client", nobody)
    for call in (ObjectStore(gcs.GOOGLE).find, ObjectStore(gcs.GOOGLE).listing, ObjectStore(gcs.GOOGLE).read):
        with pytest.raises(ObjectStoreError, match="no credentials were found.*look at its credentials"):
            call("gs://bucket/name")


def test_a_store_that_is_away_is_an_error_with_a_remedy() -> None:
    began = time.monotonic()
    with pytest.raises(ObjectStoreError, match="127.0.0.1:1 cannot be used.*FLORIN_OBJECTS"):
        ObjectStore("http://127.0.0.1:1", give_up_s=0.3).find("gs://bucket/name")
    assert time.monotonic() - began < 10
