"""Events to rows: pure, no PostgreSQL."""

from __future__ import annotations

import json

import pytest

from tests.unit.read_model.maker import START_MS, Maker, traffic
from transforms.core import PAUSE_PREFIX
from transforms.read_model.projection import NO_HEAD, Record, Rows, escaped, project, timestamp, unescaped

pytestmark = pytest.mark.unit


def rows_of(records: list[Record], heads: dict[str, tuple[int, str]] | None = None) -> Rows:
    return project(records, heads or {}, 0)


def test_a_complete_transfer_is_one_row_in_its_last_state() -> None:
    maker = Maker()
    maker.reserve("t1", "dfsp1", "dfsp2")
    maker.commit("t1", "dfsp1")
    maker.credit("t1", "dfsp2")
    rows = rows_of(maker.records)
    assert len(rows.position_changes) == 3
    assert list(rows.transfers) == ["t1"]
    assert rows.transfers["t1"][1:6] == ["dfsp1", "dfsp2", "USD", "10", "COMMITTED"]
    assert rows.transfers["t1"][9:11] == [timestamp(START_MS), timestamp(START_MS + 1)]
    assert rows.accounts["dfsp1/USD"].split("\t")[2:4] == ["10", "0"]
    assert rows.accounts["dfsp2/USD"].split("\t")[2:4] == ["-10", "0"]
    assert not rows.breaks
    assert not rows.dead


def test_a_credit_alone_writes_no_transfer_for_the_row_is_the_payers_partition() -> None:
    maker = Maker()
    maker.credit("t1", "dfsp2")
    assert not rows_of(maker.records).transfers


def test_a_transfer_prepared_in_an_earlier_batch_leaves_its_terms_alone() -> None:
    maker = Maker()
    maker.reserve("t1", "dfsp1", "dfsp2")
    heads = rows_of(maker.records).heads
    row = rows_of([maker.release("t1", "dfsp1")], heads).transfers["t1"]
    assert row[1:10] == ["dfsp1", "\\N", "USD", "\\N", "ABORTED", "3303", "Transfer expired", "\\N", "\\N"]


def test_batches_cut_anywhere_continue_the_chains() -> None:
    maker = Maker()
    list(traffic(maker, 30))
    for cut in (1, 2, 7, 50):
        heads: dict[str, tuple[int, str]] = {}
        lines: list[str] = []
        for start in range(0, len(maker.records), cut):
            rows = project(maker.records[start : start + cut], heads, 0)
            heads.update(rows.heads)
            lines += rows.position_changes
            assert not rows.breaks
        assert lines == rows_of(maker.records).position_changes


def test_a_lost_event_is_noted_as_a_break_and_the_next_one_is_fine() -> None:
    maker = Maker()
    maker.reserve("t1", "dfsp1", "dfsp2")
    maker.reserve("t2", "dfsp1", "dfsp2")
    maker.reserve("t3", "dfsp1", "dfsp2")
    rows = rows_of([maker.records[0], maker.records[2]])
    assert [line.split("\t")[7] for line in rows.breaks] == ["sequence, previous hash"]
    assert not rows_of([maker.commit("t3", "dfsp1")], rows.heads).breaks


def test_a_changed_event_is_noted_as_a_break() -> None:
    maker = Maker()
    offset, key, value = maker.reserve("t1", "dfsp1", "dfsp2")
    rows = rows_of([(offset, key, value.replace(b'"amount":"10"', b'"amount":"99"'))])
    assert [line.split("\t")[7] for line in rows.breaks] == ["hash"]
    assert rows.transfers["t1"][4] == "99"


def test_an_event_whose_hash_is_no_hash_keeps_a_column_of_zeros() -> None:
    maker = Maker()
    offset, key, value = maker.reserve("t1", "dfsp1", "dfsp2")
    rows = rows_of([(offset, key, value[:-66] + b'short"}')])
    assert rows.breaks
    assert rows.position_changes[0].endswith("\\\\x" + "0" * 64)


def test_records_that_are_no_events_are_set_aside_with_offset_reason_and_bytes() -> None:
    maker = Maker()
    bad = [b"", b"{", b"\xff\xfe", b'{"seq":1}', b"[]", b'{"account":1}', b"x" * 1_000_000]
    bad.append(b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}")
    for value in bad:
        maker.raw(value)
    maker.reserve("t1", "dfsp1", "dfsp2")
    rows = rows_of(maker.records)
    assert [(offset, value) for offset, _, value in rows.dead] == list(enumerate(bad))
    assert all(reason.startswith("not an event: ") for _, reason, _ in rows.dead)
    assert list(rows.transfers) == ["t1"]
    assert not rows.breaks


def test_a_time_that_no_calendar_has_is_set_aside() -> None:
    maker = Maker(now=10**17)
    maker.reserve("t1", "dfsp1", "dfsp2")
    assert len(rows_of(maker.records).dead) == 1


def test_a_pause_record_is_no_event_and_no_fault() -> None:
    maker = Maker()
    maker.raw(PAUSE_PREFIX + b'"x"}')
    rows = rows_of(maker.records)
    assert not rows.dead
    assert not rows.position_changes


def test_text_with_every_special_character_stays_one_field() -> None:
    maker = Maker()
    nasty = 'tab\t newline\n return\r backslash\\ quote" nul\0 null\\N end\\.'
    maker.change("dfsp1/USD", "release", "-1", transferId="t1", state="ABORTED", code="5105", description=nasty)
    line = rows_of(maker.records).position_changes[0]
    assert "\n" not in line
    assert len(line.split("\t")) == 17
    assert unescaped(line.split("\t")[13]) == nasty.replace("\0", "\ufffd")


def test_what_a_participant_sent_of_the_wrong_type_is_kept_as_json_or_left_out() -> None:
    maker = Maker()
    maker.event(
        "shard/0", "invalid", transferId="t1", state="INVALID", code="3100", description="amount", payer="dfsp1",
        payee={"a": "b"}, amount=12, currency=["USD"], expiration=7,
    )  # fmt: skip
    row = rows_of(maker.records).transfers["t1"]
    assert row[1:9] == ["dfsp1", '{"a":"b"}', '["USD"]', "\\N", "INVALID", "3100", "amount", "\\N"]


def test_amounts_and_times_that_postgres_cannot_hold_are_left_out() -> None:
    maker = Maker()
    for amount, expiration in (
        ("1e400", "2026-99-01T00:00:00Z"),
        ("0" * 400, "never"),
        ("12.34567", "2026-01-01T00:00:00"),
    ):
        maker.event(
            "shard/0", "invalid", transferId="t1", state="INVALID", payer="p", amount=amount, expiration=expiration
        )
        row = rows_of(maker.records[-1:]).transfers["t1"]
        assert (row[4], row[8]) == ("\\N", "\\N")
    maker.event(
        "shard/0", "invalid", transferId="t1", state="INVALID", amount="1", expiration="2026-01-01T00:00:00+23:00"
    )
    assert rows_of(maker.records[-1:]).transfers["t1"][8] == "2025-12-31T01:00:00.000Z"


def test_an_escaped_account_name_finds_its_head_again() -> None:
    maker = Maker()
    maker.change("a\\b/USD", "reserve", "1", transferId="t1", state="RESERVED")
    rows = rows_of(maker.records)
    assert rows.heads.get(escaped("a\\b/USD"), NO_HEAD)[0] == 1
    assert not rows_of([maker.change("a\\b/USD", "release", "-1")], rows.heads).breaks


def test_admin_events_become_participants_funds_and_command_results() -> None:
    maker = Maker()
    maker.event("shard/0", "participant", commandId="c1", result="ok", participant="dfsp1", active=True)
    maker.change("dfsp1/USD", "participant", "0", commandId="c1", result="ok", active=True, participant="dfsp1")
    maker.change("dfsp1/USD", "fundsOutReserve", "0", commandId="c2", result="ok", transferId="f1", amount="5")
    maker.change("dfsp1/USD", "fundsOutCommit", "0", commandId="c3", result="ok", transferId="f1", amount="5")
    maker.event("shard/0", "active", commandId="c4", result="ok", participant="dfsp1", active=False)
    maker.event("shard/0", "refused", commandId="c5", result="unknown participant", participant="x", action="setNdc")
    rows = rows_of(maker.records)
    assert list(rows.participants) == ["dfsp1"]
    assert rows.participants["dfsp1"].split("\t")[2] == "False"
    assert rows.activity == {"dfsp1/USD": True}
    assert [line.split("\t")[2] for line in rows.commands] == ["c1", "c1", "c2", "c3", "c4", "c5"]
    assert rows.funds["dfsp1/USD", "f1"].split("\t")[3:6] == ["OUT", "COMMITTED", "5"]
    assert list(rows.accounts) == ["dfsp1/USD"]


def test_an_event_of_a_kind_not_known_yet_still_counts() -> None:
    maker = Maker()
    maker.change("dfsp1/USD", "settled", "-10", windowId="w1", other={"deep": [1]})
    rows = rows_of(maker.records)
    assert len(rows.position_changes) == 1
    assert "dfsp1/USD" in rows.accounts
    assert not rows.dead


def test_the_maker_makes_what_the_contract_says() -> None:
    maker = Maker()
    _, _, value = maker.reserve("t1", "dfsp1", "dfsp2")
    assert list(json.loads(value))[-2:] == ["prevHash", "hash"]
