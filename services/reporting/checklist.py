"""The list against which spot-checked letters are checked (R11.1), from the file that the setting `CHECKLIST_FILE` names."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from services.reporting.configuration import ConfigurationError, Wrong, hash_of, parsed, read_yaml, twice
from shared.contracts.types import Labelled

RULE = "R11.1"
SAMPLE = "deploy/sample/checklist.yaml"
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
Words = Annotated[str, Field(min_length=1, max_length=200)]


class Answer(Labelled):
    """What somebody found about one item of one letter."""

    YES = "yes", "是"
    NO = "no", "否"
    NOT_APPLICABLE = "not_applicable", "不适用"


def _as_written(value: Any) -> Any:
    """YAML takes an unquoted yes and no for truth values; here they are words."""
    if isinstance(value, list):
        return [{True: "yes", False: "no"}[one] if isinstance(one, bool) else one for one in value]
    return value


class Item(BaseModel):
    """One thing that is looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id
    zh: Words
    en: Words
    rule: Annotated[str, Field(pattern=r"^R\d{1,2}\.\d{1,2}[a-z]?$")]
    """The rule that asks for it."""
    answers: Annotated[tuple[Answer, ...], BeforeValidator(_as_written), Field(min_length=2)] = tuple(Answer)
    weight: Annotated[float, Field(gt=0, le=1000)] = 1


class Checklist(BaseModel):
    """The items, in the order in which they are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Words
    items: Annotated[tuple[Item, ...], Field(min_length=1, max_length=60)]

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of what it says."""
        return hash_of(self)

    def item(self, id: str) -> Item | None:
        """Return an item by its id."""
        return next((one for one in self.items if one.id == id), None)


def load_checklist(file: Path) -> Checklist:
    """Load the checklist.

    Raises:
        ConfigurationError: something is wrong; it lists every item that is, and what to do.
    """
    content, problems = read_yaml(file, RULE, "CHECKLIST_FILE", SAMPLE), list[Wrong]()
    checklist = parsed(Checklist, content, problems, ["items"])
    items = content.get("items")
    ids = [str(one.get("id")) for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    problems += [Wrong(f"items/{one}", "编号重复", "this id stands there twice; ids must differ") for one in twice(ids)]
    for item in checklist.items if checklist else ():
        if not {Answer.YES, Answer.NO} <= set(item.answers):
            problems.append(
                Wrong(
                    f"items/{item.id}/answers",
                    "须有“是”和“否”",
                    "both yes and no must be possible answers; add what is missing",
                )
            )
    if problems or checklist is None:
        raise ConfigurationError(str(file), RULE, problems)
    return checklist
