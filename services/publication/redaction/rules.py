"""The words that proposals of redactions go by: one YAML file (setting `REDACTION_FILE`), checked as a whole."""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.publication.redaction.marks import Kind
from shared.yaml_files import load_yaml


class WrongRules(ValueError):
    """The file of rules is refused; the message lists everything that is wrong, where, and what to do."""


def _words(value: Any) -> Any:
    """Read a text with spaces between the words as a list; a number is a word too."""
    if isinstance(value, str | int):
        value = str(value).split()
    return tuple(str(word) for word in value) if isinstance(value, list | tuple) else value


def _characters(value: Any) -> Any:
    return "".join(value.split()) if isinstance(value, str) else value


Word = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^\S+$")]
Words = Annotated[tuple[Word, ...], BeforeValidator(_words), Field(min_length=1, max_length=10_000)]
Surname = Annotated[str, Field(pattern=r"^[㐀-鿿]$")]
CompoundSurname = Annotated[str, Field(pattern=r"^[㐀-鿿]{2}$")]


class Rules(BaseModel):
    """Words, by what they say about what stands beside them. The comments of `deploy/redaction.yaml` say what each list is for."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    surnames: Annotated[tuple[Surname, ...], BeforeValidator(_words), Field(min_length=1)]
    surnames_that_are_words: Annotated[tuple[Surname, ...], BeforeValidator(_words)] = ()
    surnames_mostly_words: Annotated[tuple[Surname, ...], BeforeValidator(_words)] = ()
    compound_surnames: Annotated[tuple[CompoundSurname, ...], BeforeValidator(_words)] = ()
    titles: Words
    official_titles: Words
    name_labels: Words
    kin: Words
    after_names: Words
    given: Annotated[str, BeforeValidator(_characters), Field(pattern=r"^[㐀-鿿]+$")]
    public_names: Annotated[tuple[Word, ...], BeforeValidator(_words)] = ()
    not_names: Annotated[tuple[Word, ...], BeforeValidator(_words)] = ()
    labels: dict[Kind, Words]
    public_labels: Annotated[tuple[Word, ...], BeforeValidator(_words)] = ()
    case_marks: Words
    offices: Words
    persons: Words
    public_numbers: Annotated[tuple[Word, ...], BeforeValidator(_words)] = ()
    public_domains: Annotated[tuple[Word, ...], BeforeValidator(_words)] = ()
    roads: Words
    villages: Words
    estates: Words
    address_cuts: Words
    whole_places: Words
    living: Words
    places_after: Words


def any_of(words: Iterable[str]) -> str:
    """Return a pattern that matches one of the words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(set(words), key=lambda word: (-len(word), word)))


class Lexicon:
    """Words to look up in a text; the time it takes does not depend on how many there are."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        sizes: dict[str, set[int]] = {}
        for word in self._words:
            sizes.setdefault(word[0], set()).add(len(word))
        self._sizes = {first: sorted(found, reverse=True) for first, found in sizes.items()}
        self._first = re.compile(f"[{''.join(map(re.escape, sorted(sizes)))}]") if sizes else None

    def __contains__(self, word: str) -> bool:
        return word in self._words

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield start and end of the longest word at each place where one begins; they may overlap."""
        for found in self._first.finditer(text) if self._first else ():
            start = found.start()
            for size in self._sizes[found[0]]:
                if text[start : start + size] in self._words:
                    yield start, start + size
                    break


def load_rules(file: Path) -> Rules:
    """Load the rules.

    Raises:
        WrongRules: naming the file, each place in it, what is wrong and what to do.
    """
    try:
        content = load_yaml(file)
    except FileNotFoundError:
        raise WrongRules(f"{file}: 文件不存在 / the file does not exist; set REDACTION_FILE to the YAML file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WrongRules(f"{file}: 无法读取 / cannot be read ({error}); write it as YAML in UTF-8") from None
    if not isinstance(content, dict):
        raise WrongRules(f"{file}: 应为若干词表 / must hold lists of words by name; start from deploy/redaction.yaml")
    try:
        return Rules.model_validate(content)
    except ValidationError as error:
        lines = "".join(f"\n  - {_said(problem)}" for problem in error.errors(include_url=False))
        raise WrongRules(f"{file} 不能使用 / is refused, {error.error_count()} problem(s):{lines}") from None


def _said(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{place}: 缺少此词表 / is missing; copy the list from deploy/redaction.yaml"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(Rules.model_fields)
        return f"{place}: 没有这样的词表 / there is no such list; there are: {known}"
    if problem["loc"][0] in {"surnames", "surnames_that_are_words", "surnames_mostly_words"}:
        return f"{place}: {problem['input']!r} 不是单个汉字的姓 / is not a surname of one character; those of two go to compound_surnames"
    if problem["loc"][0] == "compound_surnames":
        return f"{place}: {problem['input']!r} 不是两个汉字的复姓 / is not a surname of two characters"
    return f"{place}: {problem['msg']}; write words with spaces between them"
