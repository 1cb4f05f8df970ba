"""To whom bulletins go (主送, 抄送): a file that is checked at start (R11.2, R11.3)."""

from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.reporting.issue_view import Series
from shared.yaml_files import load_yaml

Recipient = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
UNIT: Final = "{unit}"
"""Stands for the name of the unit whose report it is."""


class DistributionError(ValueError):
    """The file cannot be used; the message names it, what is wrong in it and what to write."""


class List(BaseModel):
    """To whom the numbers of one series go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    main: Annotated[tuple[Recipient, ...], Field(min_length=1, max_length=50)]
    """主送."""
    copied: Annotated[tuple[Recipient, ...], Field(max_length=50)] = ()
    """抄送."""


class Distribution(BaseModel):
    """The list of each series; of a unit of its own, where it has one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekly: List
    monthly: List
    quarterly: List
    yearly: List
    units: dict[str, dict[Series, List]] = Field(default_factory=dict)
    """Mailbox code → series → its own list."""

    def of(self, series: Series, mailbox: str, name: str) -> tuple[list[str], list[str]]:
        """Return (main recipients, copied to) of a mailbox's series; `name`: the mailbox's Chinese name."""
        chosen: List = self.units.get(mailbox, {}).get(series) or getattr(self, series.value)
        main, copied = ([one.replace(UNIT, name) for one in ones] for ones in (chosen.main, chosen.copied))
        return main, copied


def load_distribution(file: Path) -> Distribution:
    """Read the file (setting `BULLETIN_LIST_FILE`).

    Raises:
        DistributionError: it cannot be used.
    """
    try:
        content = load_yaml(file)
        return Distribution.model_validate(content)
    except (OSError, UnicodeDecodeError) as error:
        wrong = [f"  it cannot be read: {type(error).__name__}"]
    except yaml.YAMLError as error:
        wrong = [f"  it is no YAML: {str(error).splitlines()[0]}"]
    except ValidationError as error:
        wrong = [
            f"  {'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
    raise DistributionError(
        f"BULLETIN_LIST_FILE {file} cannot be used 主送抄送名单有误（R11.2）:\n"
        + "\n".join(wrong)
        + "\n  For each of weekly, monthly, quarterly and yearly write main: [主送…] and, if you like, copied: [抄送…]; "
        "{unit} stands for the unit's name. See deploy/sample/bulletins.yaml."
    )
