"""The fixtures of end-to-end tests."""

from tests.e2e.conftest import fleet_of_two

__all__ = ["fleet_of_two"]
