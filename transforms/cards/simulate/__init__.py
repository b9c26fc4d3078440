"""Simulated card traffic and histories, with labelled fraud: a function of a seed, pure, by the block."""

from transforms.cards.simulate.history import History, histories
from transforms.cards.simulate.labels import GENUINE, SCENARIOS
from transforms.cards.simulate.people import START_MS, Population
from transforms.cards.simulate.traffic import Mix, Simulator, Traffic

__all__ = ["GENUINE", "SCENARIOS", "START_MS", "History", "Mix", "Population", "Simulator", "Traffic", "histories"]
