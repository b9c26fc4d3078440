"""Places in a rule file, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong, or odd, at a place of a rule file; line and column count from 1."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class RuleSetError(ValueError):
    """A rule file that cannot be used; `mistakes` has every one that was found, by place."""

    def __init__(self, mistakes: list[Mistake], source: str = "") -> None:
        self.mistakes = sorted(mistakes, key=lambda mistake: (mistake.line, mistake.column))
        self.source = source
        super().__init__("\n".join(f"{source}: {mistake}" if source else str(mistake) for mistake in self.mistakes))


class Source:
    """The text of a rule file, which tells the line and column of an index."""

    def __init__(self, text: str) -> None:
        self.text = text

    def mistake(self, at: int, message: str) -> Mistake:
        """Something wrong at an index."""
        line = self.text.count("\n", 0, at) + 1
        return Mistake(line, at - self.text.rfind("\n", 0, at), message)

    def error(self, at: int, message: str) -> RuleSetError:
        """The same as an error to raise."""
        return RuleSetError([self.mistake(at, message)])
