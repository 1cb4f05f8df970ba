"""A citizen at the pages with a browser that runs no scripts: it sends forms as they stand, and reads what a page says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from lxml import html  # type: ignore[import-untyped]

PDF = b"%PDF-1.7\n" + b"x" * 2000
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 600
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
FILLED = {
    "to": "mayor",
    "nature": "help",
    "domain": "utilities-power",
    "region": "500103",
    "subject": "小区门口路灯不亮",
    "body": "我们小区门口的路灯坏了半个多月，\n晚上老人孩子出行很不安全，希望尽快修好。",
    "name": "李明",
    "phone": "13800138000",
    "may_publish": "yes",
}
"""A letter as it is typed."""


@dataclass
class Shown:
    """A page as the browser has it."""

    answer: httpx.Response
    root: Any

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def text(self) -> str:
        """What is to be read on it."""
        return " ".join(self.root.xpath("string(//body)").split())

    def errors(self) -> dict[str, str]:
        """Input → the message that is tied to it, for every input that says it is wrong."""
        found: dict[str, str] = {}
        for wrong in self.root.xpath("//*[@aria-invalid='true']"):
            name = wrong.get("name") or wrong.get("data-name")
            described = wrong.get("aria-describedby", "").split()
            (said,) = [one for one in described if one.endswith("-error")]
            (element,) = self.root.xpath(f"//*[@id='{said}']")
            found[name] = element.text_content().strip()
        return found

    def summary(self) -> dict[str, str]:
        """Id of an input → what the summary of errors at the top says of it; each link must lead to something."""
        links = self.root.xpath("//*[@id='errors']//li/a")
        assert all(self.root.xpath(f"//*[@id='{link.get('href')[1:]}']") for link in links)
        return {link.get("href")[1:]: link.text_content() for link in links}

    def values(self) -> dict[str, str]:
        """Every field of the page's form with its value."""
        return {name: values[-1] for name, values in fields(self.form()).items()}

    def form(self) -> Any:
        """The page's first form."""
        return self.root.xpath("//form")[0]

    def named(self, element_id: str) -> str:
        (element,) = self.root.xpath(f"//*[@id='{element_id}']")
        return str(element.text_content()).strip()


def fields(form: Any) -> dict[str, list[str]]:
    """What a browser would send of a form, without its buttons."""
    found: dict[str, list[str]] = {}
    for one in form.xpath(".//input | .//select | .//textarea"):
        name, kind = one.get("name"), one.get("type", "")
        if not name or kind == "file":
            continue
        if one.tag == "select":
            chosen = one.xpath(".//option[@selected]") or one.xpath(".//option")[:1]
            found.setdefault(name, []).append(chosen[0].get("value"))
        elif one.tag == "textarea":
            found.setdefault(name, []).append((one.text or "").removeprefix("\n"))
        elif kind not in {"radio", "checkbox"} or one.get("checked") is not None:
            found.setdefault(name, []).append(one.get("value", ""))
    return found


@dataclass
class Visitor:
    """One browser; its client keeps the cookies."""

    client: httpx.AsyncClient
    headers: dict[str, str] = field(default_factory=lambda: dict(SAME_SITE))

    async def open(self, path: str, **headers: str) -> Shown:
        """Open an address."""
        return _shown(await self.client.get(path, headers={"Accept": "text/html", **headers}))

    async def press(
        self,
        page: Shown,
        button: str = "",
        typed: Mapping[str, str] | None = None,
        files: Sequence[tuple[str, bytes]] = (),
        form: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Shown:
        """Fill in a form of a page and press the button with this value."""
        form = page.form() if form is None else form
        data = fields(form) | {name: [value] for name, value in (typed or {}).items()}
        path = form.get("action")
        if button:
            pressed = form.xpath(f".//button[@value='{button}'][not(@hidden)]")[0]
            data["do"] = [button]
            path = pressed.get("formaction") or path
        sent = {name: [value.replace("\n", "\r\n") for value in values] for name, values in data.items()}
        more: dict[str, Any] = {}
        if form.get("enctype") == "multipart/form-data":
            # An empty choice of files is sent too, as browsers do.
            chosen = [("files", (name, content)) for name, content in files] or [("files", ("", b""))]
            more["files"] = chosen
        answer = await self.client.post(
            urlsplit(path)._replace(fragment="").geturl(),
            data=sent,
            headers={**self.headers, **(headers or {})},
            **more,
        )
        return _shown(answer)

    async def write(self, typed: Mapping[str, str] = FILLED, path: str = "/write") -> Shown:
        """Fill in a letter; the page on which it is checked."""
        return await self.press(await self.open(path), "check", typed)

    async def send(self, typed: Mapping[str, str] = FILLED) -> Shown:
        """Write a letter and send it."""
        return await self.press(await self.write(typed), "send")

    async def follow(self, code: str) -> Shown:
        """Look a letter up."""
        page = await self.open("/follow")
        return await self.press(page, typed={"code": code})


def _shown(answer: httpx.Response) -> Shown:
    assert "content-type" in answer.headers, answer
    assert answer.headers["content-type"].startswith("text/html"), answer.text[:500]
    return Shown(answer, html.document_fromstring(answer.text))
