"""Versions as entity tags: who edits says which version was seen, and a stale edit is refused."""

import re

from shared.web.problems import Problem

_TAG = re.compile(r'(?:W/)?"([0-9]{1,15})"\Z')
"""A tag of ours names a state, not its bytes; proxies that compress an answer make the tag of it weak."""


class StaleVersion(Problem):
    """409: somebody else changed it meanwhile; the answer carries the current version in ``current_version`` and ``ETag``."""

    def __init__(self, current: int) -> None:
        super().__init__(
            409,
            "内容已被他人更新 / Changed meanwhile",
            f"This was changed after you read it; it is now at version {current}. Read it again, then repeat your change with "
            f"If-Match: {etag_of(current)}.",
            slug="stale-version",
            headers={"ETag": etag_of(current)},
            current_version=current,
        )


def etag_of(version: int) -> str:
    """The ``ETag`` of ``version``: ``"7"`` with its quotation marks."""
    return f'"{version}"'


def expected_version(if_match: str | None, *, required: bool = False) -> int | None:
    """The version in an ``If-Match`` header; None if there is none or it is ``*``.

    Raises a 400 problem for anything but one tag of ours, and 428 if it is ``required`` and missing.
    """
    if if_match is None or if_match.strip() == "*":
        if required and if_match is None:
            raise Problem(
                428,
                "请先读取再修改 / Read before you change",
                "Send the ETag of what you read as If-Match.",
                slug="version-required",
            )
        return None
    match = _TAG.match(if_match.strip())
    if match is None:
        raise Problem(
            400,
            "If-Match 无效 / If-Match is not valid",
            'If-Match must be the ETag as it was received, such as "7".',
            slug="bad-if-match",
        )
    return int(match[1])


def is_current(if_none_match: str, tag: str) -> bool:
    """Whether what a reader has, by its ``If-None-Match``, is what ``tag`` stands for: compared weakly (RFC 9110, 13.1.2)."""
    return any(one.strip().removeprefix("W/") == tag.removeprefix("W/") for one in if_none_match.split(","))
