"""What the documents say is there: links, commands, endpoints, facts, settings, metrics."""

import importlib.util
import re
from collections.abc import Iterator
from inspect import signature
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from prometheus_client.metrics import MetricWrapperBase

from deploy.access import document
from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.runtime import Service
from services.settings import Settings
from shared.contracts.catalogue import FACTS, MAILBOX
from shared.observability import metrics
from shared.security.sign_in_settings import SignInSettings
from shared.security.tokens import TokenSettings

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/sample/*.md")],
    key=lambda page: page.as_posix(),
)
SETTINGS = ROOT / "docs" / "settings.md"


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _prose(text: str) -> str:
    """The text without blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _code(page: Path) -> Iterator[str]:
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL):
        yield from block.splitlines()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{_name(page)} links to {target}"
        if anchor:
            assert anchor in _anchors(there), f"{_name(page)} links to {target}, which has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    made = re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z]+)", text)
    made += [word for line in _code(page) for word in re.findall(r"^make ([a-z]+)", line)]
    assert set(made) <= rules
    for module in re.findall(r"python -m ([a-z_.]+)", text):
        assert importlib.util.find_spec(module), f"{_name(page)} names {module}"
    for line in _code(page):
        for file in re.findall(r"pytest (\S+\.py)", line):
            assert (ROOT / file).exists()


def test_the_readme_names_every_make_target_that_a_user_needs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in ("demo", "test", "bench", "down", "reset", "help"):
        assert f"make {target}" in readme


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_file_that_is_named_in_a_document_exists(page: Path) -> None:
    text = _prose(page.read_text(encoding="utf-8"))
    for file in re.findall(r"`((?:shared|services|deploy|tests|docs)/[\w/.-]+)`", text):
        assert (ROOT / file).exists(), f"{_name(page)} names {file}"


def _paths(service: Service) -> set[str]:
    routes = [route for router in service.routers for route in router.routes]
    return {route.path for route in routes if route.include_in_schema}  # type: ignore[attr-defined]


@pytest.fixture(scope="module", params=NAMES)
async def service(request: pytest.FixtureRequest) -> Service:
    """Each service, built and not started."""
    return build(request.param, Kit(Settings()))


async def test_each_service_has_a_page_with_all_its_endpoints_and_no_others(service: Service) -> None:
    text = (ROOT / "docs" / "services" / f"{service.name}.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(?:GET|POST|PUT|PATCH|DELETE) (/[^`?]*)`", text))
    assert documented == _paths(service)


def test_what_is_a_page_or_json_by_the_header_accept_is_documented_as_both() -> None:
    service = build("publication", Kit(Settings()))
    routes = [route for router in service.routers for route in router.routes if isinstance(route, APIRoute)]
    chosen = [route.path for route in routes if "accept" in signature(route.endpoint).parameters]
    assert len(chosen) == 3
    api = document()["paths"]
    kinds = {path: set(api[path]["get"]["responses"]["200"]["content"]) for path in chosen}
    assert kinds == {path: {"application/json", "text/html"} for path in chosen}


async def test_each_service_s_page_says_what_it_publishes_follows_and_tells(service: Service) -> None:
    text = (ROOT / "docs" / "services" / f"{service.name}.md").read_text(encoding="utf-8")
    rows = {
        row[0].strip(): set(re.findall(r"`(\w+)`", row[1]))
        for row in re.findall(r"^\|([^|]+)\|(.+)\|$", text, re.MULTILINE)
    }
    own = {fact.__name__ for fact in FACTS if fact.source == service.name}
    told = {message.__name__ for message in MAILBOX if message.source == service.name}
    assert rows["publishes"] == own
    assert rows["follows"] == {fact.__name__ for fact in service.letters.domain.on} - own
    assert rows.get("tells mailboxes", set()) == told


def test_every_setting_is_documented_with_what_it_is_if_not_given() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_<>]+)` \| ([^|]+) \|", SETTINGS.read_text(encoding="utf-8"), re.MULTILINE))
    for model in (Settings, TokenSettings, SignInSettings):
        for name, field in model.model_fields.items():
            described = rows.pop(name.upper(), None)
            assert described is not None, f"docs/settings.md lacks {name.upper()}"
            if isinstance(field.default, str | int | float | Path) and field.default != "":
                default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
                assert f"`{default}`" in described, f"{name.upper()} is {default} if not given"


@pytest.mark.parametrize("kind", ["Counter", "Gauge", "Histogram"])
def test_every_metric_is_documented(kind: str) -> None:
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    declared = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    names = {m._name + ("_total" if kind == "Counter" else "") for m in declared if type(m).__name__ == kind}
    assert names
    assert not {name for name in names if f"`{name}`" not in text}


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\]\(([^)]+)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {page.name for page in folder.glob("0*.md")}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_document_says_nothing_of_machines_that_others_do_not_have(page: Path) -> None:
    assert not re.search(r"(?<![\w.])/(?:work|root|home)/", page.read_text(encoding="utf-8"))
