"""Posting rules: YAML that says which lines an event makes, read with the place of every mistake."""

from transforms.rule_text.places import RuleSetError as RulesError
from transforms.subledger.rules.language import parse_rules
from transforms.subledger.rules.model import PostingRules

__all__ = ["PostingRules", "RulesError", "parse_rules"]
