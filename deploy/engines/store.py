"""The document store: PostgreSQL with the DocumentDB extension, and FerretDB, which speaks MongoDB's protocol before it.

Both listen on 127.0.0.1 only and, without a `Guard`, ask for no password: for development machines and tests.
"""

import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.engines.errors import EngineError
from deploy.engines.fetch import POSTGRESQL_MAJOR, home
from deploy.engines.guard import Guard
from deploy.engines.places import make_open_folder, store_user
from deploy.engines.ports import Ports
from deploy.engines.processes import Process

START_SECONDS = 60
AFTER_KILL_SECONDS = 15
EXTENSIONS = "create extension if not exists documentdb cascade; create extension if not exists documentdb_extended_rum"
IDLE_JOBS = "update cron.job set active = false where active and jobname like 'documentdb_index_build_task_%'"
"""Every second one of them looks for indexes to build, by a connection of its own. FerretDB has them built at once and never asks these."""

# fsync and synchronous_commit stay on: what was acknowledged survives a crash, here as in production.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "pg_cron,pg_documentdb_core,pg_documentdb,pg_documentdb_extended_rum",
    "documentdb.alternate_index_handler_name": "extended_rum",  # indexes that can also sort
    "cron.database_name": "postgres",
    "cron.log_run": "off",  # a row for each run of each background job, for ever
    "cron.log_statement": "off",
    "timezone": "GMT",  # built in; any other name needs the host's time zone files
    "log_timezone": "GMT",
    "log_checkpoints": "off",
    "max_connections": "120",  # FerretDB takes up to 50, its background work some more
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "lz4",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "0",  # many small requests share few cores
    "jit": "off",
}


class Postgres:
    """PostgreSQL of one instance; runs as an unprivileged user where we are root."""

    name = "postgres"

    def __init__(
        self, folder: Path, data_folder: Path, ports: Ports, environ: Mapping[str, str], guard: Guard | None = None
    ) -> None:
        self._guard = guard
        self.process = Process(self.name, folder)
        self._data = data_folder / "data"
        self._port = ports.postgres
        self._tree = home("postgres", environ) / "tree"
        self._user = store_user()

    def running(self) -> bool:
        """Whether the server's main process runs."""
        return self.process.pid() is not None

    def start(self) -> None:
        """Start the server, with an empty database and the extensions where there are none, until it answers."""
        make_open_folder(self._data.parent)
        if not self._data.is_dir():
            self._initialize()
        settings = SETTINGS | (self._guard.postgres_settings(self._data.parent, self._user) if self._guard else {})
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._program("postgres")), "-D", str(self._data), "-p", str(self._port), *options]
        deadline = time.monotonic() + AFTER_KILL_SECONDS
        while True:
            self._forget_stale_lock()
            self.process.start(command, cwd=self._data, env=self._server_environment(), user=self._user)
            try:
                self.process.wait_ready(self._has_extensions, START_SECONDS)
            except EngineError:
                # After a SIGKILL its children take a moment to notice; until then the data is theirs.
                dying = "is still in use" in self.process.log_tail() or "already exists" in self.process.log_tail()
                if not dying or time.monotonic() > deadline:
                    raise
            else:
                return

    def stop(self) -> None:
        """Shut the server down in order, without waiting for its clients."""
        self.process.stop(signal.SIGINT)

    def _initialize(self) -> None:
        new = self._data.with_name("data.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if self._user:
            os.chown(new, self._user.pw_uid, self._user.pw_gid)
        asked = ["-A", "trust"]
        if self._guard:
            asked = ["-A", "scram-sha-256", f"--pwfile={self._guard.password_file(new.parent, self._user)}"]
        program = str(self._program("initdb"))
        done = self._run([program, "-D", str(new), "-U", "postgres", "--encoding=UTF8", "--locale=C", *asked], new)
        (new.parent / "password").unlink(missing_ok=True)
        if done.returncode:
            raise EngineError(f"PostgreSQL could not prepare {self._data}:\n{(done.stdout + done.stderr)[-2000:]}")
        if self._guard and self._guard.certificate:
            rules = new / "pg_hba.conf"
            rules.write_text(re.sub(r"^host ", "hostssl ", rules.read_text(), flags=re.MULTILINE))
        new.rename(self._data)

    def _has_extensions(self) -> bool:
        """Create the extensions where they are missing; False while the server does not take connections yet."""
        asked = (EXTENSIONS, IDLE_JOBS, self._guard.store_user() if self._guard else "")
        statements = f"set client_min_messages=warning; {'; '.join(asked)}"
        done = self._run(
            [
                *(str(self._program("psql")), "-X", "-q", "-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres"),
                *("-d", "postgres", "-v", "ON_ERROR_STOP=1", "-f", "-"),
            ],
            self._data,
            statements,
        )
        if done.returncode in {1, 3}:  # 2 means: no connection
            raise EngineError(f"PostgreSQL could not create its extensions:\n{done.stderr[-2000:]}")
        return done.returncode == 0

    def _forget_stale_lock(self) -> None:
        """Remove the pid file of a killed server whose pid now belongs to another program, which would stop us."""
        lock = self._data / "postmaster.pid"
        try:
            pid = int(lock.read_text().split()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            return
        if os.fsencode(self._data) not in command and b"postgres" not in command:
            lock.unlink()

    def _run(self, command: list[str], cwd: Path, told: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program of PostgreSQL's; passwords go over its standard input or environment, which nobody else sees."""
        return subprocess.run(
            command,
            cwd=cwd,
            input=told,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
        )

    def _program(self, name: str) -> Path:
        return self._tree / f"usr/lib/postgresql/{POSTGRESQL_MAJOR}/bin" / name

    def _environment(self) -> dict[str, str]:
        """For its programs, and for the server: DocumentDB and pg_cron connect to their own PostgreSQL, too."""
        login = self._guard.postgres_login() if self._guard else {}
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "GMT", "PGCONNECT_TIMEOUT": "5", **login}

    def _server_environment(self) -> dict[str, str]:
        """With the library path that the server's extensions need; the host's own programs (`sh`) must not get it."""
        folders = [path.parent for path in (self._tree / "usr/lib").glob("*-linux-gnu*/libc.so.6")]
        folders.append(self._tree / f"usr/lib/postgresql/{POSTGRESQL_MAJOR}/lib")
        return {**self._environment(), "LD_LIBRARY_PATH": ":".join(map(str, folders))}


class FerretDB:
    """The MongoDB protocol server of one instance; it keeps nothing itself."""

    name = "ferretdb"

    def __init__(self, folder: Path, ports: Ports, environ: Mapping[str, str], guard: Guard | None = None) -> None:
        self.process = Process(self.name, folder)
        self._guard = guard
        self._state = folder / "ferretdb"
        self._ports = ports
        self._program = home("ferretdb", environ) / "bin" / "ferretdb"
        self._environ = {name: value for name, value in environ.items() if not name.startswith("FERRETDB_")}

    def running(self) -> bool:
        """Whether the server's process runs."""
        return self.process.pid() is not None

    def start(self) -> None:
        """Start the server and return when it and PostgreSQL behind it answer."""
        self._state.mkdir(parents=True, exist_ok=True)
        query = self._guard.postgres_query() if self._guard else ""
        database = f"postgres://postgres@127.0.0.1:{self._ports.postgres}/postgres?pool_min_conns=4{query}"
        asks_nobody = ["--no-auth", f"--listen-addr=127.0.0.1:{self._ports.ferretdb}"]
        command = [
            *(str(self._program), "--telemetry=disable", "--debug-addr=-", "--log-level=WARN"),
            f"--postgresql-url={database}",
            *(self._guard.ferretdb_arguments(self._ports.ferretdb) if self._guard else asks_nobody),
            f"--state-dir={self._state}",
        ]
        login = self._guard.postgres_login() if self._guard else {}
        # Go's collector runs half as often, for some 20 MB.
        self.process.start(command, cwd=self._state, env={"GOGC": "300", **self._environ, **login})
        tls = self._guard.tls() if self._guard else None
        self.process.wait_ready(lambda: answers(self._ports.ferretdb, tls), START_SECONDS)

    def stop(self) -> None:
        """End the server; requests in hand are finished first."""
        self.process.stop()


def answers(port: int, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a MongoDB-compatible server answers `{ping: 1, $db: "admin"}` with `{ok: 1}`."""
    document = b"\x10ping\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0"
    document = struct.pack("<i", len(document) + 4) + document
    message = struct.pack("<iiiiib", 16 + 5 + len(document), 1, 0, 2013, 0, 0) + document
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=2) as plain,
            tls.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain as connection,
        ):
            connection.sendall(message)
            reply = connection.recv(4096)
    except OSError:
        return False
    return b"\x01ok\0" + struct.pack("<d", 1.0) in reply
