"""How each fault is brought about and ended. What strikes one target waits until what struck it before has ended."""

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from time import monotonic

import psutil

from deploy.engines import EngineError, Process
from services import NAMES
from shared.calendar.clock import Clock
from tests.chaos.ground import Ground
from tests.chaos.ledger import Fault, Ledger
from tests.chaos.plan import REPLICAS, Kind, Plan, Strike
from tests.conftest import eventually
from tests.e2e.fleet import Run

BACK_SECONDS = 90
"""Within how many seconds of its fault's end a process must be ready again."""
START_TRIES = 3
EFFECT_SECONDS = 10
"""Within how many seconds a signal has its effect."""
SLACK_SECONDS = 5
"""How far a clock that was put forward may be from where it was put."""
LEAVE_SECONDS = 60
"""How long a process that is asked to leave may take. It promises 15 s (`docs/architecture.md`) where the machine is not busy; the report
says how long the slowest took."""

_EXCLUSIVE = {"postgres": "engines of the store", "ferretdb": "engines of the store"}
"""Target → what else must be whole while it is struck: the front cannot be started again while PostgreSQL is down."""


class Faults:
    """Strikes as planned."""

    def __init__(self, ground: Ground, ledger: Ledger, tell: Callable[[str], None]) -> None:
        self._ground = ground
        self._ledger = ledger
        self._tell = tell
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._began = 0.0
        self.wrong: list[str] = []
        """What did not come back, or not as it should."""
        self.struck: Counter[Kind] = Counter()
        """How often each kind was seen to have its effect."""
        self.longest_leave = 0.0
        """Of all processes that were asked to leave: seconds."""

    async def run(self, plan: Plan) -> None:
        """Let all faults of a plan strike, each at its moment; returns when all have ended."""
        self._began = monotonic()
        await asyncio.gather(*(self._strike(strike) for strike in plan.strikes))

    async def _strike(self, strike: Strike) -> None:
        await asyncio.sleep(max(0.0, self._began + strike.at - monotonic()))
        deed = self._deed(strike)
        async with self._busy[_EXCLUSIVE.get(strike.target, strike.target)]:
            self._tell(f"{monotonic() - self._began:6.1f}  {strike.kind}: {strike.target}")
            self._ledger.add(Fault(self._ground.clocks.now().isoformat(), strike.kind, strike.target, strike.seconds))
            try:
                await deed()
            except (AssertionError, EngineError, RuntimeError, psutil.NoSuchProcess) as error:
                self.wrong.append(f"after {strike.kind} ({strike.target}): {error}")

    def _deed(self, strike: Strike) -> Callable[[], Awaitable[None]]:
        deeds: dict[Kind, Callable[[Strike], Awaitable[None]]] = {
            Kind.KILL_SERVICE: self._kill_service,
            Kind.STOP_SERVICE: self._stop_service,
            Kind.KILL_BROKER: self._kill_engine,
            Kind.KILL_FRONT: self._kill_engine,
            Kind.KILL_STORE: self._kill_engine,
            Kind.STOP_BROKER: self._stop_engine,
            Kind.STOP_FRONT: self._stop_engine,
            Kind.STOP_STORE: self._stop_engine,
            Kind.FULL_DISK: self._full_disk,
            Kind.SLOW_STORE: self._slow_store,
            Kind.PARTITION: self._partition,
            Kind.CLOCK: self._clock,
            Kind.REBALANCE: self._rebalance,
            Kind.JOIN: self._join,
            Kind.DEPLOY: self._deploy,
        }
        return partial(deeds[strike.kind], strike)

    def _seen(self, strike: Strike, effect: bool) -> None:
        """Count a fault whose effect was seen; note one that had none."""
        if effect:
            self.struck[strike.kind] += 1
        else:
            self.wrong.append(f"{strike.kind} ({strike.target}) had no effect")

    # ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _kill_service(self, strike: Strike) -> None:
        run = self._ground.run(strike.target)
        assert run.process is not None
        ran = run.process.poll() is None
        await asyncio.to_thread(run.kill)
        self._seen(strike, ran and run.process.poll() == -signal.SIGKILL)
        await asyncio.sleep(strike.seconds)
        await self._start(run)

    async def _stop_service(self, strike: Strike) -> None:
        process = self._ground.run(strike.target).process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            self._seen(strike, await _all([psutil.Process(process.pid)], psutil.STATUS_STOPPED))
            await asyncio.sleep(strike.seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    async def _rebalance(self, strike: Strike) -> None:
        run = self._ground.run(strike.target)
        await self._leave(run)
        self._seen(strike, run.process is not None and run.process.poll() is not None)
        await asyncio.sleep(strike.seconds)
        await self._start(run)

    async def _join(self, strike: Strike) -> None:
        """One replica more has its share of the work for a while, and gives it back."""
        run = self._ground.run(strike.target)
        await self._start(run)
        try:
            self._seen(strike, await eventually(run.is_ready, BACK_SECONDS))
            await asyncio.sleep(strike.seconds)
        finally:
            await self._leave(run)

    async def _deploy(self, strike: Strike) -> None:
        """All services at once, one replica of each after the other, as an orchestrator rolls them."""
        before = self._pids()
        for replica in range(REPLICAS):
            ends = await asyncio.gather(*(self._renew(f"{name}-{replica}") for name in NAMES), return_exceptions=True)
            for error in ends:
                if error is not None:
                    raise error
        self._seen(strike, not before & self._pids())

    def _pids(self) -> set[int]:
        return {run.process.pid for run in self._ground.regular if run.process is not None}

    async def _renew(self, name: str) -> None:
        async with self._busy[name]:
            run = self._ground.run(name)
            await self._leave(run)
            await self._start(run)

    async def _leave(self, run: Run) -> None:
        code, seconds = await run.leave(LEAVE_SECONDS)
        self.longest_leave = max(self.longest_leave, seconds)
        if code != 0:
            self.wrong.append(f"{run.log.stem}, asked to leave, ended with {code} after {seconds:.1f} s")

    async def _start(self, run: Run) -> None:
        """Start a process; returns as soon as it lives: to be ready it may need an engine that is away."""
        run.start()
        await eventually(run.is_alive, BACK_SECONDS)

    async def _clock(self, strike: Strike) -> None:
        self._ground.clocks.step(strike.target, strike.amount)
        ahead = Clock(self._ground.clocks.file(strike.target)).now() - self._ground.clocks.now()
        self._seen(strike, abs(ahead.total_seconds() - strike.amount) < SLACK_SECONDS)
        await asyncio.sleep(strike.seconds)
        self._ground.clocks.step(strike.target, 0)

    async def _partition(self, strike: Strike) -> None:
        proxy = f"{strike.target}-kafka"
        await self._ground.proxies.cut(proxy)
        self._seen(strike, await self._ground.proxies.bent(proxy))
        await asyncio.sleep(strike.seconds)
        await self._ground.proxies.heal(proxy)

    async def _slow_store(self, strike: Strike) -> None:
        proxies = [f"{name}-store" for name in self._ground.names]
        await self._ground.proxies.slow(proxies, strike.amount)
        self._seen(strike, all([await self._ground.proxies.bent(proxy) for proxy in proxies]))
        await asyncio.sleep(strike.seconds)
        await asyncio.gather(*(self._ground.proxies.heal(proxy) for proxy in proxies))

    # ── engines ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _kill_engine(self, strike: Strike) -> None:
        killed = self._processes(strike.target)
        _each(killed, psutil.Process.kill)
        self._seen(strike, await _all(killed, psutil.STATUS_ZOMBIE))
        await asyncio.sleep(strike.seconds)
        await self._start_engine(strike.target)

    async def _stop_engine(self, strike: Strike) -> None:
        stopped = self._processes(strike.target)
        _each(stopped, psutil.Process.suspend)
        try:
            self._seen(strike, await _all(stopped, psutil.STATUS_STOPPED))
            await asyncio.sleep(strike.seconds)
        finally:
            _each(stopped, psutil.Process.resume)

    def _processes(self, engine: str) -> list[psutil.Process]:
        """The processes of an engine: PostgreSQL has one for each connection, and some more."""
        pid = Process(engine, self._ground.engines.folder).pid()
        if pid is None:
            raise RuntimeError(f"{engine} does not run")
        main = psutil.Process(pid)
        return [main, *main.children(recursive=True)]

    async def _full_disk(self, strike: Strike) -> None:
        disk = self._ground.disk
        await asyncio.to_thread(disk.fill)
        try:
            self._seen(strike, await asyncio.to_thread(disk.is_full))
            await asyncio.sleep(strike.seconds)
        finally:
            await asyncio.to_thread(disk.empty)
        # Without room for its log of changes PostgreSQL ends; whoever made room starts it again.
        await self._start_engine(strike.target)

    async def _start_engine(self, engine: str) -> None:
        """Start an engine, again where a very busy machine lets the time for it run out."""
        for tries_left in reversed(range(START_TRIES)):
            try:
                await asyncio.to_thread(self._ground.engines.start, engine)
            except EngineError:
                if not tries_left:
                    raise
            else:
                return


def _each(processes: Iterable[psutil.Process], do: Callable[[psutil.Process], None]) -> None:
    """Do something to each process that is still there: those of connections end when they like."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            do(process)


async def _all(processes: Iterable[psutil.Process], status: str) -> bool:
    """Whether every process that is still there gets a status in time."""

    async def there() -> bool:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                assert process.status() == status
        return True

    try:
        return bool(await eventually(there, EFFECT_SECONDS))
    except AssertionError:
        return False
