"""What is wrong with a directory: every problem at once, each with the rule it breaks and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DirectoryProblem:
    """One thing that is wrong.

    Attributes:
        where: the mailbox code, or the file and line.
        rule: the rule id it breaks (``R1.3``).
        wrong: what is wrong.
        remedy: what to do.
    """

    where: str
    rule: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.wrong} [{self.rule}]; {self.remedy}"


class DirectoryError(ValueError):
    """The directory is refused (R1.3). ``problems`` lists everything that is wrong, not only the first."""

    def __init__(self, source: str, problems: Sequence[DirectoryProblem]) -> None:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{source} is refused, {len(problems)} problem(s):{lines}")
        self.problems = tuple(problems)
