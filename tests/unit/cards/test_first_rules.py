"""What begins a log of transactions stays for its life: the first rule set and the histories."""

from __future__ import annotations

import pytest

from jobs.cards import BeganOtherwise, first_rules
from jobs.rules.log import Log
from transforms.cards.rule_report import Beginning
from transforms.cards.rulesets import text_of
from transforms.cards.topics import Topics

pytestmark = pytest.mark.unit

LOG = Log("nowhere:1", Topics())
SMALL = "name: small\nrules:\n- name: R1\n  when: amount > 100\n"


def begun(monkeypatch: pytest.MonkeyPatch, found: Beginning | None) -> None:
    monkeypatch.setattr(Log, "began", lambda self: found)


def test_a_new_log_begins_with_the_set_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    begun(monkeypatch, None)
    assert first_rules(LOG, SMALL, "d", restored=False) == SMALL
    assert first_rules(LOG, None, "", restored=False) == text_of("default")


def test_a_log_goes_on_with_the_set_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    begun(monkeypatch, Beginning(SMALL, "d"))
    assert first_rules(LOG, None, "d", restored=False) == SMALL
    assert first_rules(LOG, SMALL, "d", restored=False) == SMALL
    assert first_rules(LOG, text_of("seed"), "d", restored=True) == SMALL


def test_another_set_or_other_histories_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    begun(monkeypatch, Beginning(SMALL, "d" * 64))
    with pytest.raises(BeganOtherwise, match="began with small@.* would be replayed with seed@.*leave out --rules"):
        first_rules(LOG, text_of("seed"), "d" * 64, restored=False)
    for restored in (False, True):
        with pytest.raises(BeganOtherwise, match="histories of digest dddddddddddd, not with no histories.*--history"):
            first_rules(LOG, None, "", restored=restored)
