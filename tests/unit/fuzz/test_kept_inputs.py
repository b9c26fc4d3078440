"""Every input that fuzzing kept goes through its decoder again."""

from __future__ import annotations

import pytest

from tests.fuzz import kept
from tests.fuzz.__main__ import NAMES, compiled
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.unit
# Of each target, the same ones every time.
MOST = 40


def test_every_target_is_fuzzed_and_has_inputs() -> None:
    assert set(NAMES) == set(TARGETS) == {path.stem for path in kept.FOLDER.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_kept_inputs_are_taken_or_refused_as_the_decoder_says(name: str) -> None:
    found = kept.inputs(name)
    assert found
    for data in [*TARGETS[name].seeds(), *found[:: -(-len(found) // MOST)]]:
        TARGETS[name].run(data)


def test_modules_with_kernels_are_not_instrumented() -> None:
    assert {"transforms.cards.kernel", "transforms.subledger.parse_kernel"} <= set(compiled())
