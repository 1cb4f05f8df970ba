"""`python -m deploy.demo`: see the package's documentation."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings

import deploy.demo
from deploy.demo import ground, journey, plan
from deploy.demo.city import City
from deploy.demo.listener import Listener
from deploy.demo.processes import Services, alone, unit_system
from deploy.demo.stage import Saved, Story, at, read_saved, say
from deploy.engines import EngineError, Engines
from deploy.engines.progress import step
from services import NAMES
from services.settings import SAMPLE, Settings
from shared.calendar.clock import write_clock_file
from shared.directory import load_directory
from shared.security.issue import ensure_keys

WATCH_SECONDS = 2.0
PATIENCE_SECONDS = 60
"""How long people try again while a service cannot for now, as on a machine that does much else."""


class DemoSettings(BaseSettings):
    """The demonstration's own settings; the package's documentation says what they mean."""

    demo_exit: bool = False
    demo_instance: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")] = "dev"
    demo_port: Annotated[int, Field(ge=1024, le=65_530)] = 8101


@dataclass
class Demo:
    """One run of the demonstration."""

    settings: DemoSettings
    engines: Engines

    @property
    def folder(self) -> Path:
        """Where keys, clock, state and logs are."""
        return self.engines.folder

    @property
    def keys(self) -> Path:
        """The keys that sign tokens."""
        return self.folder / "keys"

    @property
    def clock_file(self) -> Path:
        """The simulated clock."""
        return self.folder / "clock.json"

    @property
    def state_file(self) -> Path:
        """What an earlier run did."""
        return self.folder / "demo.json"

    def environment(self) -> dict[str, str]:
        """Return the environment of services and unit systems."""
        return {
            **os.environ,
            **self.engines.urls().environment(),
            "DIRECTORY_FILE": str(SAMPLE),
            "CLOCK_FILE": str(self.clock_file),
            "JWKS_FILE": str(self.keys / "jwks.json"),
            "SWEEP_SECONDS": os.environ.get("SWEEP_SECONDS", "0.25"),
        }

    def run(self) -> int:
        """Start everything, go the journey, stay or end; return the exit status."""
        began = time.monotonic()
        services = Services(self.folder, self.settings.demo_port)
        with alone(self.folder):
            services.make_room()
            with self._engines():
                return self._on_engines(services, began)

    def _on_engines(self, services: Services, began: float) -> int:
        saved = read_saved(self.state_file)
        known = saved if saved is not None and saved.finished and self.clock_file.exists() else None
        urls = self.engines.urls()
        given = Settings(kafka_bootstrap=urls.kafka_bootstrap, mongo_url=urls.mongo_url, directory_file=SAMPLE)
        with step("topics", tell):
            interrupted = saved is not None and known is None
            tell(asyncio.run(ground.prepare(given, interrupted=interrupted, finished=known is not None)))
        ensure_keys(self.keys)
        if known is None:
            write_clock_file(self.clock_file, at(plan.POSTED, "08:30"), 0, backwards=True)
        try:
            with step(f"starting {', '.join(NAMES)}", tell):
                services.start(self.environment())
            with unit_system(plan.SYSTEM_UNIT, self.folder, self.environment()):
                good = asyncio.run(self._journey(services, given, known))
                if ended := services.ended():
                    say(ended)
                outcome = "全部步骤均已看到 every step was seen" if good else "没有走完 not every step was seen"
                say(f"{outcome} ({time.monotonic() - began:.0f} s)")
                if not good or ended:
                    say(f"logs 日志: {self.folder / 'logs'}；重来 start over: make reset")
                    return 1
                if self.settings.demo_exit:
                    return 0
                self._show(services)
                return self._stay(services)
        finally:
            with uninterrupted(), step("stopping the services", tell):
                services.stop()

    async def _journey(self, services: Services, given: Settings, known: Saved | None) -> bool:
        directory = load_directory(given.directory_file)
        heard = [f"mailbox.{mailbox.code}" for mailbox in directory.mailboxes()]
        async with (
            City(services.urls, self.keys, directory, patience=PATIENCE_SECONDS) as city,
            Listener(given.kafka, given.namespace, heard) as listener,
        ):
            story = Story(city, listener, given.kafka, given.namespace, self.clock_file, self.state_file)
            if known is None:
                return await journey.run(story)
            story.load(known)
            say("信件已在，逐步复核 / the journey was made before; looking at it again")
            return await journey.look_again(story)

    def _show(self, services: Services) -> None:
        urls, site = services.urls, services.site
        token = f"{sys.executable} -m shared.security.issue --keys-dir {self.keys} --subject mayor-clerk --mailbox mayor --role clerk"
        say(f"""
  公众网站 public site      {site}/public/
  我要写信 write a letter    {site}/write
  查询来信 follow a letter   {site}/follow
  已公开来信 public letters  {site}/public/letters
  公示栏 notice board       {site}/public/board
  统计 statistics           {site}/statistics
  周报 weekly bulletin      {site}/bulletins
  接口文档 API docs         {"  ".join(url + "/docs" for url in urls.values())}
  指标 metrics              {"  ".join(url + "/metrics" for url in urls.values())}
  令牌 a token              TOKEN=$({token} 2>/dev/null)
  拟办列表 with it          curl -H "Authorization: Bearer $TOKEN" '{urls["routing"]}/routing/mailboxes/mayor/letters?list=pending'
  引擎 engines              {"  ".join(f"{name}={value}" for name, value in self.engines.urls().environment().items())}
  日志 logs                 {self.folder / "logs"}

按 Ctrl-C 结束 / Ctrl-C ends it; the data stays for the next run, `make reset` forgets it.""")

    def _stay(self, services: Services) -> int:
        """Stay until interrupted; end if a service does."""
        try:
            while not (ended := services.ended()):
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            return 0
        say(ended)
        return 1

    @contextmanager
    def _engines(self) -> Iterator[None]:
        """Have the engines up, and stop those again that were not running before."""
        running = self.engines.running()
        self.engines.up()
        try:
            yield
        finally:
            started = [engine for engine in self.engines.ours if engine not in running]
            if started:
                with uninterrupted(), step(f"stopping {', '.join(started)}", tell):
                    if running:
                        for engine in started:
                            self.engines.stop(engine)
                    else:
                        self.engines.down()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let stopping go on to its end, however often Ctrl-C is pressed."""
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tell(line: str) -> None:
    """Print one line of progress to standard error."""
    print(f"[demo] {line}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; 0 when every step was seen, 1 with the reason when not, 130 when it was interrupted before."""
    if arguments if arguments is not None else sys.argv[1:]:
        print(deploy.demo.__doc__)
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # it tries again by itself; what stays wrong shows in the steps
    try:
        settings = DemoSettings()
        return Demo(settings, Engines(settings.demo_instance)).run()
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            tell(
                f"{str(problem['loc'][0]).upper()}: {problem['msg']}; `python -m deploy.demo --help` says what it may be"
            )
        return 2
    except EngineError as error:
        tell(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
