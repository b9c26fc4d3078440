"""Which rows are not posted: the later ones of an event in the request, and all of a published one."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.subledger_load import duplicates
from transforms.subledger_load.duplicates import Marked, Marks, Words, duplicates_of
from transforms.subledger_load.model import Longs, row_code
from transforms.subledger_load.scratch import Scratch

pytestmark = pytest.mark.unit
# Few ids, with equal upper halves, so that all meet.
_UPPER = [0, 1, 2**63, 2**64 - 1]
_ID = st.tuples(st.sampled_from(_UPPER), st.integers(0, 2))


def run_of(rows: list[tuple[int, int, int]]) -> Words:
    """Upper, lower, code: in order of the upper half."""
    return np.array(sorted(rows, key=lambda row: row[0]), np.uint64).reshape(-1, 3).T.copy()


@settings(deadline=None)
@given(
    ids=st.lists(_ID, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=3),
    published=st.sets(_ID, max_size=4),
    at_once=st.integers(1, 50),
)
def test_of_each_event_the_first_row_counts_unless_it_is_published(
    ids: list[tuple[int, int]], cuts: list[int], published: set[tuple[int, int]], at_once: int
) -> None:
    rows = [(upper, lower, code) for code, (upper, lower) in enumerate(ids)]
    bounds = [0, *sorted(cuts), len(rows)]
    runs = [run_of(rows[first:stop]) for first, stop in itertools.pairwise(bounds)]
    seen: set[tuple[int, int]] = set(published)
    expected = []
    for upper, lower, code in rows:
        if (upper, lower) in seen:
            expected.append(code)
        seen.add((upper, lower))

    def look_up(low: bytes | None, high: bytes | None) -> Words:
        told = sorted(
            (upper, lower)
            for upper, lower in published
            if (low is None or upper.to_bytes(8, "big") + lower.to_bytes(8, "big") >= low)
            and (high is None or upper.to_bytes(8, "big") + lower.to_bytes(8, "big") < high)
        )
        return np.array(told, np.uint64).reshape(-1, 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_IDS_AT_ONCE", at_once)
        assert found(duplicates_of(runs, look_up)) == expected
        if not published:
            assert found(duplicates_of(runs, None)) == expected


def found(parts: Iterator[Longs]) -> list[int]:
    """All codes, in order; none comes twice."""
    return sorted(itertools.chain.from_iterable(part.tolist() for part in parts))


@settings(deadline=None)
@given(parts=st.lists(st.sets(st.tuples(st.integers(0, 4), st.integers(1, 70)), max_size=20), max_size=4))
def test_marked_rows_are_found_again(parts: list[set[tuple[int, int]]]) -> None:
    marks, marked = Marks(), set[tuple[int, int]]()
    for part in parts:
        new = np.array(sorted(part - marked), np.int64).reshape(-1, 2)
        marks.add(row_code(new[:, 0], new[:, 1]))
        marked |= part
    assert marks.count == len(marked)
    every = np.array(list(itertools.product(range(7), range(1, 80))), np.int64)
    with tempfile.TemporaryDirectory() as folder:
        among = Marked(Scratch(folder), marks.write(Scratch(folder), "plan/marks")).among(every[:, 0], every[:, 1])
    assert {(file, line) for file, line in every[among].tolist()} == marked
