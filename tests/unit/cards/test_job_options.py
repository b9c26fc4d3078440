"""python -m jobs.cards: what cannot be ends with a message and an exit code that scripts can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from flink.processes import LOOPBACK
from jobs import cards

pytestmark = pytest.mark.unit

NOBODY = f"{LOOPBACK}:9"
USAGE, UNREACHABLE = 2, 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["begin"], "invalid choice: 'begin'"),
        (["--partitions=0"], "--partitions must be 1 to --max_parallelism"),
        (["--rules=nowhere"], "nowhere: No such file or directory; it is no file and none of seed, default"),
        (["--history=nowhere"], "nowhere has no manifest.json"),
        (["--bogus"], "unknown option --bogus"),
    ],
)
def test_options_that_cannot_be(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cards.main(options)
    assert ended.value.code == USAGE
    assert told in capsys.readouterr().err


def test_mistakes_of_the_first_rule_file_are_told_with_their_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: a\nrules:\n- name: R1\n  when: amonut > 1\n")
    with pytest.raises(SystemExit) as ended:
        cards.main([f"--rules={file}"])
    assert ended.value.code == USAGE
    assert f"{file}: line 4, column 9: unknown field 'amonut'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("action", "told"), [("start", NOBODY), *((action, f"http://{NOBODY}") for action in ("stop", "report"))]
)
def test_a_server_that_does_not_answer(action: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cards.main([action, f"--kafka={NOBODY}", f"--flink_master={NOBODY}"]) == UNREACHABLE
    assert f"answers at {told} " in capsys.readouterr().err
