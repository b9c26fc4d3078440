"""Snapshots kept of released formats are restored by today's code, and what comes out then is what was to come.

tests/golden/upgrades/README.md says how they were made and what to do where one of these tests fails.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from state.cells import CellError, Emitter, decode
from tests.golden.upgrades.kept import END, FOLDER, Kept, Printed, batches, run
from transforms.cards.core import CardsCore
from transforms.core import Output
from transforms.shard import restore
from transforms.transfers.shard import TransferShard

pytestmark = pytest.mark.golden

KEPT = [Kept(folder) for folder in sorted(FOLDER.glob("*-*")) if (folder / "cells.zip").exists()]
CORES = {"transfer": TransferShard, "cards": CardsCore}
NEWEST = [kept for kept in KEPT if kept.version == CORES[kept.job].VERSION]
READ_ME = "tests/golden/upgrades/README.md says what to do"


@pytest.fixture(params=KEPT, ids=lambda kept: kept.name)
def kept(request: pytest.FixtureRequest) -> Kept:
    return request.param


@pytest.fixture(params=NEWEST, ids=lambda kept: kept.name)
def newest(request: pytest.FixtureRequest) -> Kept:
    return request.param


def goes_on(kept: Kept) -> list[Printed]:
    """What today's shards emit after the cut, restored from the kept cells as the engine does it."""
    found: list[Printed] = []
    for partition, cut in enumerate(kept.about["cut"]):
        core = kept.core(partition)
        emitter = Emitter(core.NAME, kept.version)
        resumes, clock, _ = restore(core, kept.cells[partition], kept.header(partition), cut, emitter)
        assert resumes == cut, f"{kept.name}, shard {partition}: paused at {cut}, would go on at {resumes}"
        assert clock == max(record.at for record in kept.log if record.partition == partition and record.offset < cut)
        found += [out[:4] for batch in batches(kept.log, partition, cut, END) for out in core.apply(batch)]
    return found


def difference(kept: Kept, found: Sequence[Printed | Output]) -> str:
    """The first output that is not the kept one, and what that breaks; empty if there is none."""
    for number, (was, now) in enumerate(zip(kept.outputs, found, strict=False)):
        if was != now:
            return (
                f"{kept.name}: output {number} after the cut, to {was[0]} partition {was[1]}, is another than the "
                f"release made. Whoever reads {was[0]} would see it change with the upgrade, and an audit of a log "
                f"that began before it fails: raise VERSION of {CORES[kept.job].__name__}; {READ_ME}\n"
                f"  was: {was}\n  is:  {now}"
            )
    if len(found) != len(kept.outputs):
        return f"{kept.name}: {len(found)} outputs after the cut, the release made {len(kept.outputs)}; {READ_ME}"
    return ""


def test_a_restored_shard_goes_on_as_the_release_that_wrote_it(kept: Kept) -> None:
    added = kept.about.get("added", [])  # topics that a later version writes
    assert not (told := difference(kept, [out for out in goes_on(kept) if out[0] not in added])), told


def other_cell(kept: Kept, partition: int, written: dict[int, bytes]) -> str:
    """The first cell that is not the kept one, and what that breaks; empty if there is none."""
    was = kept.cells[partition]
    for cell in sorted(was.keys() | written.keys()):
        if written.get(cell) != was.get(cell):
            return (
                f"{kept.name}: cell {cell} of shard {partition} is written in other bytes than the release did, under "
                "the same format version: either release would read savepoints of the other as if they were its own. "
                "Raise the version of the cell that changed (state/cells.py, transforms/transfers/snapshot.py and "
                "duplicates.py, transforms/cards/snapshot.py and store.py), go on reading the one before, and keep a "
                f"snapshot of each; {READ_ME}"
            )
    return ""


def test_the_same_log_gives_the_same_cells(newest: Kept) -> None:
    for partition in newest.cells:
        assert not (told := other_cell(newest, partition, run(newest, partition)[0])), told


def test_a_change_says_what_it_breaks() -> None:
    kept = next(one for one in NEWEST if one.job == "transfer")
    outputs = kept.outputs
    outputs[3] = (*outputs[3][:3], b"other")
    assert difference(kept, outputs).startswith(
        f"transfer-1: output 3 after the cut, to {outputs[3][0]} partition {outputs[3][1]}, is another than the release"
    )
    assert difference(kept, kept.outputs[:-1]).startswith(f"transfer-1: {len(outputs) - 1} outputs after the cut")
    cells = {**kept.cells[0], 2: b"other"}
    assert other_cell(kept, 0, cells).startswith("transfer-1: cell 2 of shard 0 is written in other bytes")


@pytest.mark.parametrize("job", CORES)
def test_of_the_version_in_force_a_snapshot_is_kept(job: str) -> None:
    version = CORES[job].VERSION
    assert [kept.version for kept in NEWEST if kept.job == job] == [version], (
        f"{job} is at version {version} and no snapshot of it is kept: nothing would tell that a later release cannot "
        f"restore what this one writes. Make {job}-{version}: {READ_ME}"
    )


def test_a_crash_is_not_recovered_by_another_version(kept: Kept) -> None:
    """Cells behind the committed offset: a replay of what was emitted, which only the same version may do."""
    cut = kept.about["cut"][0]
    core = kept.core(0)
    emitter = Emitter(core.NAME, kept.version)
    if kept in NEWEST:
        assert restore(core, kept.cells[0], kept.header(0), cut + 5, emitter)[0] == cut
    else:
        with pytest.raises(CellError, match=f"were emitted by version {kept.version} of the core"):
            restore(core, kept.cells[0], kept.header(0), cut + 5, emitter)


def test_kept_cells_are_those_of_their_release(kept: Kept) -> None:
    headers = [decode(cell)[0] for cells in kept.cells.values() for cell in cells.values()]
    assert {header.version for header in headers} == {kept.version}
    assert {(header.partition, header.offset) for header in headers} >= set(enumerate(kept.about["cut"]))
