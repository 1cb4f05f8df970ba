"""x."""

from typing import Any


def add(found: Any) -> None:
    """Add."""
