"""Configuration files of reporting: YAML that is read whole, and refused with everything that is wrong in it, each with what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from shared.yaml_files import load_yaml

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong in a file."""

    where: str
    """The entry and its field, e.g. `items/read-same-day/weight`."""
    chinese: str
    english: str
    """What is wrong and what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.chinese} / {self.english}"


class ConfigurationError(ValueError):
    """A configuration file is refused; `problems` lists everything that is wrong, not only the first."""

    def __init__(self, source: str, rule: str, problems: Sequence[Wrong]) -> None:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{source} is refused, {len(problems)} problem(s) [{rule}]:{lines}")
        self.problems = tuple(problems)


def read_yaml(file: Path, rule: str, setting: str, sample: str) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        ConfigurationError: there is no such file, or it is no YAML, or no mapping.
    """
    try:
        content = load_yaml(file)
    except FileNotFoundError:
        wrong = ("文件不存在", f"there is no such file; set {setting} to one, for example {sample}")
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        wrong = ("无法读取", f"it cannot be read ({' '.join(str(error).split())}); write it as YAML in UTF-8")
    else:
        if isinstance(content, dict):
            return content
        wrong = ("须为键值形式", f"it must hold named entries; see {sample}")
    raise ConfigurationError(str(file), rule, [Wrong(file.name, *wrong)])


def parsed(model: type[M], content: Any, problems: list[Wrong], names: Sequence[str] = ()) -> M | None:
    """Return a part of a file as `model`; else none, and `problems` has what is wrong.

    Args:
        model: what it should be.
        content: what the file says.
        problems: added to.
        names: fields that are lists of entries with an `id`, which then stands in the place of the entry's position.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            place = [str(part) for part in found["loc"]]
            if len(place) > 1 and place[0] in names and place[1].isdigit():
                entry = content[place[0]][int(place[1])]
                called = entry.get("id") if isinstance(entry, dict) else None
                place[1] = str(called or f"number {int(place[1]) + 1}")
            problems.append(Wrong("/".join(place) or "(file)", _chinese(found["type"]), _english(found)))
    return None


def _chinese(kind: str) -> str:
    return {"missing": "缺少此项", "extra_forbidden": "没有这一项"}.get(kind, "内容不合规定")


def _english(found: Any) -> str:
    if found["type"] == "missing":
        return "it is missing; write it"
    if found["type"] == "extra_forbidden":
        return "there is no such entry; remove it or correct its name"
    given = found.get("input")
    shown = "" if isinstance(given, dict | list) else f"; it is {given!r}"
    return f"{found['msg'][0].lower()}{found['msg'][1:]}{shown}"


def twice(ids: Sequence[str]) -> list[str]:
    """Return the ids that stand there more than once."""
    return sorted({one for one in ids if ids.count(one) > 1})


def hash_of(content: BaseModel) -> str:
    """Return the SHA-256 (hex) of what a configuration says, whatever its file looks like."""
    text = dumps(content.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
