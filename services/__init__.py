"""The five services. Each is its own process (`python -m services intake`); `all` serves them from one."""

from typing import Final

NAMES: Final = ("intake", "routing", "deadline", "publication", "reporting")
"""The services in the order of a letter's way."""
