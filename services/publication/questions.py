"""What is asked of the public list: words and filters, read from the query and checked (R9.2)."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Query

from services.publication.index import number_key, words_of
from services.publication.search import Asked
from shared.contracts.types import Nature
from shared.directory import Directory
from shared.text import SHORTEST_QUERY
from shared.web.problems import FieldError, Problem

LONGEST: Final = 60
"""Characters of the words searched for."""
MOST_WORDS: Final = 8
MONTH: Final = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")
WRONG: Final = "bad-search"
"""Slug of the problem that a question is wrong."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Question:
    """The query as it was sent; a form sends empty values for what is not asked."""

    values: dict[str, str]

    @property
    def given(self) -> dict[str, str]:
        """What is asked, without empty values: the query of the same question."""
        return {name: value for name, value in self.values.items() if value}

    def asked(self, directory: Directory) -> Asked:
        """Return what is asked.

        Raises:
            Problem: 422, naming each value that cannot be and what can.
        """
        wrong = [*self._wrong_words(), *self._wrong_filters(directory)]
        if wrong:
            raise Problem(
                422,
                "检索条件有误 / This cannot be searched for",
                "请改正标明的条件后再检索。 / Correct what is named under 'errors' and search again.",
                slug=WRONG,
                rule="R9.2",
                errors=wrong,
            )
        values = {name: value or None for name, value in self.values.items()}
        return Asked(
            words=self.values["q"],
            nature=next((nature for nature in Nature if nature == values["nature"]), None),
            domain=values["domain"],
            region=values["region"],
            unit=values["unit"],
            month=values["month"],
            published=values["published"],
        )

    def _wrong_words(self) -> list[FieldError]:
        text = self.values["q"]
        if not text:
            return []
        if len(text) > LONGEST:
            return [
                _error(
                    "q",
                    f"检索词最多{LONGEST}个字",
                    f"At most {LONGEST} characters can be searched for at a time",
                    "R9.2",
                )
            ]
        words = words_of(text)
        if not words and not number_key(text):
            return [
                _error(
                    "q", "检索词没有文字，请输入要找的字词", "There are no letters or digits in it; type words", "R9.2"
                )
            ]
        if not words:
            return [
                _error(
                    "q",
                    f"单个字太常见，请至少输入相连的{SHORTEST_QUERY}个字",
                    f"A single character is too common; type at least {SHORTEST_QUERY} that stand together",
                    "R9.2",
                )
            ]
        if len(words) > MOST_WORDS:
            return [
                _error("q", f"最多{MOST_WORDS}个词，请减少一些", f"At most {MOST_WORDS} words; leave some out", "R9.2")
            ]
        return []

    def _wrong_filters(self, directory: Directory) -> list[FieldError]:
        values, wrong = self.values, []
        if values["nature"] and values["nature"] not in set(Nature):
            natures = ", ".join(f"{nature.value} {nature.label}" for nature in Nature)
            wrong.append(
                _error("nature", f"没有这种性质；可以是：{natures}", f"No such nature; it may be: {natures}", "R3.3")
            )
        if values["domain"] and values["domain"] not in {domain.code for domain in directory.all_domains()}:
            wrong.append(
                _error(
                    "domain",
                    "没有这个领域，请从 /intake/domains 中选择",
                    "No such domain; they are listed at /intake/domains",
                    "R3.4",
                )
            )
        if values["region"] and values["region"] not in {region.code for region in directory.regions()}:
            wrong.append(
                _error(
                    "region",
                    "没有这个地区，请从 /intake/regions 中选择",
                    "No such region; they are listed at /intake/regions",
                    "R3.5",
                )
            )
        if values["unit"] and values["unit"] not in directory:
            wrong.append(
                _error(
                    "unit",
                    "没有这个单位，请从 /intake/mailboxes 中选择",
                    "No such unit; they are listed at /intake/mailboxes",
                    "R2.1",
                )
            )
        wrong += [
            _error(name, "月份应如 2026-03", "A month is written like 2026-03", "R9.2")
            for name in ("month", "published")
            if values[name] and not MONTH.fullmatch(values[name])
        ]
        return wrong


async def _question(
    q: Annotated[str, Query(description="Words that a letter must all have, or a letter's number.")] = "",
    nature: Annotated[str, Query(description="Code of a nature (R3.3).")] = "",
    domain: Annotated[str, Query(description="Code of a domain (R3.4); those below it are included.")] = "",
    region: Annotated[str, Query(description="GB/T 2260 code of a region (R3.5).")] = "",
    unit: Annotated[str, Query(description="Code of the unit that answered, its departments included.")] = "",
    month: Annotated[str, Query(description="Month of receipt, such as `2026-03`.")] = "",
    published: Annotated[str, Query(description="Month of publication, such as `2026-04`.")] = "",
) -> Question:
    filters = {"nature": nature, "domain": domain, "region": region, "unit": unit, "month": month}
    return Question({"q": _CONTROL.sub(" ", q).strip(), **filters, "published": published})


Asking = Annotated[Question, Depends(_question)]


def _error(name: str, chinese: str, english: str, rule: str) -> FieldError:
    return FieldError(f"query:{name}", chinese, english, rule)
