"""Search indexes that a process keeps for itself, of what stands in the store."""

from shared.search.follower import LATE, Follower
from shared.search.index_file import IndexFile, Moved, NotReady

__all__ = ["LATE", "Follower", "IndexFile", "Moved", "NotReady"]
