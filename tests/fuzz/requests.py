"""Requests at random to every operation of the services' OpenAPI, valid and not, by everybody; and what is wrong with the answers.

schemathesis makes requests from the document; half of them are then bent: ids that exist in the place of made-up ones, a body that is
right but for a field, a header, a query, a method or a body that nobody sends. Every answer must be one that the document promises.
"""

import json
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from lxml import html  # type: ignore[import-untyped]
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from tests.access_table import BODIES, QUERIES
from tests.citizen_pages import FILLED, SAME_SITE, fields
from tests.fuzz import oddities

SLOW_SECONDS: Final = 2.0
_STRAIGHT: Final = (("Idempotency-Key", "a-straight-request-0001"),)
TRIES: Final = 3
"""On a busy machine anything may be slow once, or twice."""
WAIT_SECONDS: Final = 60
NO_HTTP: Final = "Invalid HTTP request received."
"""What the web server itself says of bytes that are no HTTP, with 400: no service ever sees those."""
load_all_checks()
PROMISES: Final = CHECKS.get_by_names(
    [
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)


@dataclass(frozen=True)
class Person:
    """Somebody who asks; nobody in particular without headers."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What exists in the city that is asked."""

    parts: Mapping[str, Sequence[str]]
    """Name of a part of a path, or `path#part` where it means something else there → values."""
    people: Sequence[Person]
    fitting: Mapping[str, Sequence[tuple[Person, Mapping[str, str]]]]
    """Operation → who may ask, and about what, so that they come through."""

    def of(self, path: str, part: str) -> Sequence[str]:
        return self.parts.get(f"{path}#{part}", self.parts.get(part, ()))


@dataclass
class Report:
    """What was asked and what came back."""

    made: Counter[str] = field(default_factory=Counter)
    """Operation → requests that were made, also such as no client sends."""
    asked: Counter[str] = field(default_factory=Counter)
    """Operation → requests that were sent."""
    answered: Counter[int] = field(default_factory=Counter)
    """Status → answers."""
    answers: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Operation → status → answers, of requests with its own method that a service saw."""
    callers: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Operation → who asked."""
    findings: dict[tuple[str, str], str] = field(default_factory=dict)
    """(operation, what is wrong) → how to repeat it."""
    slowest: list[tuple[float, str]] = field(default_factory=list)
    """Seconds and request, the slowest first."""

    def took(self, seconds: float, what: str) -> None:
        self.slowest = sorted([*self.slowest, (round(seconds, 3), what)], reverse=True)[:10]

    def found(self, operation: str, wrong: str, repeat: str) -> None:
        if (operation, wrong) not in self.findings:
            print(f"FOUND {operation}: {wrong}\n  {repeat}", flush=True)
        self.findings.setdefault((operation, wrong), repeat)

    @property
    def reached(self) -> set[str]:
        """The operations that did once what they are for: answered with 2xx."""
        return {name for name, statuses in self.answers.items() if any(200 <= status < 300 for status in statuses)}

    def text(self) -> str:
        """All findings, one below the other."""
        return "\n\n".join(f"{operation}: {wrong}\n  {repeat}" for (operation, wrong), repeat in self.findings.items())


@dataclass(frozen=True)
class Bend:
    """How a request is bent after it was made; as it is by itself, it is straight."""

    parts: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """JSON, or bytes as they are."""
    query: Any = None
    """Text put behind the query, or parameters."""
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str | None = None
    method: str | None = None


@dataclass
class Fuzzer:
    """Asks the services at one origin."""

    origin: str
    known: Known
    seed: int
    slow: float | None = SLOW_SECONDS
    """From how many seconds on an answer is too slow; None: they are only listed."""
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.session = requests.Session()
        document = self.session.get(f"{self.origin}/openapi.json", timeout=WAIT_SECONDS).json()
        schema = schemathesis.openapi.from_dict(document)
        schema.config.base_url = self.origin
        self.forms = dict(self._forms())
        self.operations = {one.ok().label: one.ok() for one in schema.get_all_operations()}  # type: ignore[union-attr]

    def _forms(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Operation → what a browser sends of the form that stands at its address, with the cookie that goes with it."""
        for path, button in (("/write", "check"), ("/follow", "")):
            page = self.session.get(self.origin + path, timeout=WAIT_SECONDS)
            sent = fields(html.fromstring(page.content).xpath("//form")[0])
            typed = (
                {**FILLED, "do": button} if button else {"code": self.known.of("/intake/receipts/{code}", "code")[0]}
            )
            cookie = "; ".join(f"{one.name}={one.value}" for one in self.session.cookies)
            yield f"POST {path}", {**sent, **typed, "": {"Cookie": cookie, **SAME_SITE}}

    def ask_all(self, examples: int, until: Callable[[], bool] = lambda: False) -> None:
        """Ask each operation so many times; stop between two when `until` says so."""
        for operation in self.operations.values():
            if until():
                return
            self.ask(operation, examples)

    def ask(self, operation: Any, examples: int) -> None:
        """Ask one operation: each example is a request that fits the document or one that does not, and how it is bent."""
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            run = settings(
                max_examples=max(1, examples // 2),
                database=None,
                phases=[Phase.generate],
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )

            @seed(self.seed)
            @run
            @given(
                operation.as_strategy(generation_mode=mode),
                bends(operation, self.known, self.forms.get(operation.label)),
            )
            def one(case: Any, bend: Bend) -> None:
                self.send(operation, case, *self._turn(operation.label, bend))

            try:
                one()
            except Unsatisfiable:
                continue  # nothing can be wrong with an operation that takes nothing

    def _turn(self, label: str, bend: Bend) -> tuple[Person, Bend]:
        """Whose turn it is to ask: all sorts of callers one after the other, and before each of them somebody who may, about what fits.

        The first request to an operation is straight, so that it does what it is for.
        """
        turn, fitting, people = self.report.made[label], self.known.fitting.get(label), self.known.people
        self.report.made[label] += 1
        if fitting and turn % 2 == 0:
            person, parts = fitting[turn // 2 % len(fitting)]
            if turn == 0:
                return person, Bend(parts, BODIES.get(label, self.forms.get(label)), QUERIES.get(label), _STRAIGHT)
            return person, replace(bend, parts=parts)
        # Operations begin with different callers, so that a short run has all sorts, too.
        turn = (turn // 2 if fitting else turn) + list(self.operations).index(label)
        return people[turn % len(people)], bend

    def send(self, operation: Any, case: Any, person: Person, bend: Bend) -> None:
        """Send one request and look at its answer."""
        case.path_parameters.update(bend.parts)
        asked = case.as_transport_kwargs(headers=dict(person.headers))
        _bent(asked, bend)
        response = self._answer(operation.label, asked)
        if response is None or response.text == NO_HTTP:
            return
        wrong = list(_always_wrong(response))
        if bend.method is None or bend.method == operation.method.upper():
            self.report.answers[operation.label][response.status_code] += 1
            self.report.callers[operation.label].add(person.name)
            wrong += self._promises_broken(case, response)
        for one in wrong:
            told = f"{person.name}: {_shown(asked)}\n  → {response.status_code} {response.text[:300]}"
            self.report.found(operation.label, one, told)

    def _answer(self, label: str, asked: Mapping[str, Any]) -> requests.Response | None:
        """Return the first answer; where it is slow, ask again: the fastest of all tries is judged."""
        try:
            response, seconds = self._timed(asked)
            for _ in range(TRIES - 1):
                if self.slow is None or seconds <= self.slow:
                    break
                seconds = min(seconds, self._timed(asked)[1])
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError, requests.exceptions.InvalidURL):
            return None  # the client does not even send it
        except requests.exceptions.RequestException as error:
            self.report.asked[label] += 1
            self.report.found(label, f"no answer: {type(error).__name__}", f"{_line(asked)}: {error}")
            return None
        if self.slow is not None and seconds > self.slow:
            self.report.found(label, "slow", f"{seconds:.1f} s at the fastest of {TRIES} tries: {_line(asked)}")
        self.report.asked[label] += 1
        self.report.answered[response.status_code] += 1
        self.report.took(seconds, f"{_line(asked)} → {response.status_code}")
        return response

    def _timed(self, asked: Mapping[str, Any]) -> tuple[requests.Response, float]:
        """Return an answer, read to its end, and the seconds that this took."""
        self.session.cookies.clear()
        began = time.monotonic()
        response = self.session.request(**{**asked, "timeout": WAIT_SECONDS, "allow_redirects": False})
        return response, time.monotonic() - began

    @staticmethod
    def _promises_broken(case: Any, response: requests.Response) -> Iterator[str]:
        try:
            case.validate_response(response, checks=PROMISES)
        except schemathesis.errors.FailureGroup as group:  # type: ignore[attr-defined]
            for failure in group.exceptions:
                yield f"{response.status_code} {failure.title}: {failure.message[:300]}"

    def ask_oddly(self) -> None:
        """Ask for odd addresses, and put odd bytes on the wire; the services must go on."""
        for path in oddities.PATHS:
            response = self._answer("odd addresses", {"method": "GET", "url": self.origin + path})
            for wrong in _always_wrong(response) if response is not None and response.text != NO_HTTP else ():
                self.report.found("odd addresses", wrong, f"{path[:80]}: {response.text[:300]}")  # type: ignore[union-attr]
        host, port = self.origin.removeprefix("http://").split(":")
        for raw in oddities.RAW:
            self.report.asked["odd bytes"] += 1
            answer = said(host, int(port), raw)
            if answer and (not answer.startswith(b"HTTP/1.") or answer[9:10] == b"5"):
                self.report.found("odd bytes", repr(answer[:60]), repr(raw[:100]))
        alive = self.session.get(f"{self.origin}/health/live", timeout=WAIT_SECONDS)
        if alive.status_code != 200:
            self.report.found("odd bytes", "it lives no longer", alive.text)


def said(host: str, port: int, raw: bytes) -> bytes:
    """What a server answers to bytes; none where it hangs up or waits for more."""
    with closing(socket.create_connection((host, port), timeout=1)) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(4096)
        except (ConnectionError, TimeoutError):
            return b""


# ── how requests are bent ────────────────────────────────────────────────────────────────────────────────────────────


def some(strategy: st.SearchStrategy[Any], tenths: int) -> st.SearchStrategy[Any]:
    """A strategy so often, else None."""
    return st.sampled_from(range(10)).flatmap(lambda n: strategy if n < tenths else st.none())


@st.composite
def bends(draw: Any, operation: Any, known: Known, form: Mapping[str, Any] | None) -> Bend:
    """Ways to bend a request of this operation."""
    label, path, parts = operation.label, operation.path, {}
    for parameter in operation.path_parameters:
        values = known.of(path, parameter.name)
        if values:
            odd = draw(some(_ODD_PARTS, 2))
            parts[parameter.name] = draw(st.sampled_from(list(values))) if odd is None else odd
    right = BODIES.get(label, form)
    body = None
    if operation.body:
        body = draw(some(st.sampled_from(oddities.BODIES), 2))
        if body is None and right is not None:
            body = draw(some(nearly(right), 7))
    query = draw(some(st.sampled_from(oddities.QUERIES), 2)) or draw(some(st.just(QUERIES.get(label)), 5))
    return Bend(
        parts=parts,
        body=body,
        query=query,
        headers=tuple(draw(some(st.lists(st.sampled_from(oddities.HEADERS), max_size=2), 4)) or ()),
        media_type=draw(some(st.sampled_from(oddities.MEDIA_TYPES), 1)) if operation.body else None,
        method=draw(some(st.sampled_from(oddities.METHODS), 1)),
    )


_ODD_PARTS: Final = st.sampled_from([quote(text, safe="") for text in oddities.TEXTS if len(text) < 500])


@st.composite
def nearly(draw: Any, right: Any) -> Any:
    """A body that is right, but for up to two places."""
    body = deepcopy(right)
    for _ in range(draw(st.integers(0, 2))):
        where = draw(st.sampled_from(list(_places(body))))
        if where is None:
            continue
        holder, name = where
        if draw(st.booleans()):
            # A copy: what is changed inside of it next must not be the value that is drawn another time.
            holder[name] = deepcopy(draw(st.sampled_from(oddities.VALUES)))
        elif isinstance(holder, dict):
            holder.pop(name, None)
    return body


def _places(value: Any) -> Iterator[tuple[Any, Any] | None]:
    yield None
    if isinstance(value, dict | list):
        names = list(value) if isinstance(value, dict) else range(len(value))
        for name in names:
            yield value, name
            yield from (one for one in _places(value[name]) if one)


def _bent(asked: dict[str, Any], bend: Bend) -> None:
    headers = asked["headers"] = {name: str(value) for name, value in dict(asked.get("headers") or {}).items()}
    if bend.body is not None:
        for name in ("json", "data", "files"):
            asked.pop(name, None)
        if isinstance(bend.body, bytes):
            asked["data"] = bend.body
            headers["Content-Type"] = "application/json"
        elif "" in bend.body:
            asked["data"] = {name: value for name, value in bend.body.items() if isinstance(value, str | list) and name}
            headers.pop("Content-Type", None)
            headers.update(bend.body[""] or {})
        else:
            asked["data"] = json.dumps(bend.body).encode()  # also numbers that JSON does not have
            headers["Content-Type"] = "application/json"
    if bend.media_type is not None:
        headers["Content-Type"] = bend.media_type
    if isinstance(bend.query, str):
        asked["url"] += ("&" if "?" in asked["url"] else "?") + bend.query
    elif bend.query:
        asked["params"] = {**(asked.get("params") or {}), **bend.query}
    headers.update(bend.headers)
    if bend.method is not None:
        asked["method"] = bend.method


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────────────────────


def _always_wrong(response: requests.Response) -> Iterator[str]:
    """What no answer may be, whatever was asked."""
    status, kind = response.status_code, response.headers.get("Content-Type", "")
    if status >= 500 and status != 503:
        yield f"{status}"
    if status in {429, 503} and not response.headers.get("Retry-After", "").isdigit():
        yield f"{status} without Retry-After"
    if status >= 400 and response.request.method != "HEAD":
        page = kind.startswith("text/html")
        if not page and (kind != "application/problem+json" or response.json().get("status") != status):
            yield f"{status} that is no problem: {kind}"


def _line(asked: Mapping[str, Any]) -> str:
    return f"{asked['method']} {asked['url'][:160]}"


def _shown(asked: Mapping[str, Any]) -> str:
    sent = {name: asked[name] for name in ("params", "json", "data", "files") if asked.get(name)}
    headers = {name: value[:80] for name, value in asked["headers"].items() if name != "Authorization"}
    return f"{_line(asked)} {headers} {str(sent)[:600]}"
