"""A disk of its own for PostgreSQL, small enough to be full at a moment's notice.

Letters' files live in the store, so the disk that is full for them is the store's. It is a file system in memory (tmpfs) that is mounted
where PostgreSQL keeps its data, its log of changes included, and is made as small as what is on it: the next block that PostgreSQL asks for
is refused with ENOSPC. That needs the right to mount, which root has; elsewhere there is no such fault. What it cannot show: errors of a
real disk, and what a power cut leaves on one.
"""

import errno
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SPACE_MB = 4_096
LEFT_MB = 1


@dataclass
class Disk:
    """The file system at `path`."""

    path: Path
    mounted: bool = False

    def mount(self) -> bool:
        """Mount it, empty; whether that was possible."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.unmount()
        if os.geteuid() == 0 and shutil.which("mount"):
            self.mounted = self._run(
                "mount", "-t", "tmpfs", "-o", f"size={SPACE_MB}m,mode=755", "tmpfs", str(self.path)
            )
        return self.mounted

    def unmount(self) -> None:
        """Take it away, also what an earlier run left behind."""
        if self.path.is_mount():
            self._run("umount", str(self.path))
        self.mounted = False

    def fill(self) -> None:
        """Leave next to no room."""
        total, free = (getattr(os.statvfs(self.path), name) for name in ("f_blocks", "f_bfree"))
        used_mb = (total - free) * os.statvfs(self.path).f_frsize // 1_048_576
        self._resize(used_mb + LEFT_MB)

    def is_full(self) -> bool:
        """Whether a file of more than what is left is refused."""
        probe = self.path / "probe"
        try:
            probe.write_bytes(bytes((LEFT_MB + 1) * 1_048_576))
        except OSError as error:
            return error.errno == errno.ENOSPC
        finally:
            probe.unlink(missing_ok=True)
        return False

    def empty(self) -> None:
        """Make room again."""
        self._resize(SPACE_MB)

    def _resize(self, megabytes: int) -> None:
        if not self._run("mount", "-o", f"remount,size={megabytes}m", str(self.path)):
            raise RuntimeError(f"the file system at {self.path} could not be resized to {megabytes} MB")

    @staticmethod
    def _run(*command: str) -> bool:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
