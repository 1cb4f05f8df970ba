"""A city's people at the services' HTTP doors: citizens, clerks, heads and units. Knows addresses and roles, decides nothing.

    async with City(addresses(8101), keys, directory) as city:
        receipt = (await city.submit(letter))["receipt"]
        rows = await city.letters("mayor")
        await city.register(rows[0]["letter_id"], "mayor")

Every method returns the answer's JSON, raises `Refused` with the problem that the service named, or `Away` when it could not be reached.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx

from services import NAMES
from shared.directory import Directory, Role
from shared.security.issue import issue_token

Json = dict[str, Any]
T = TypeVar("T")
TOKEN_HOURS = 24
OPINION = "拟交你单位办理"
REQUIREMENTS = "请依法依规办理，在规定期限内答复"
QUESTIONS = ("state_secret", "trade_secret", "privacy", "highly_sensitive")


class Refused(Exception):
    """A service said no."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            found = response.json()
        except ValueError:
            found = None
        self.problem: Json = found if isinstance(found, dict) else {"detail": response.text[:300]}
        self.rule = str(self.problem.get("rule") or "")
        """Rule id, e.g. R6.3, where the problem as a whole has one."""
        self.errors: list[Json] = self.problem.get("errors") or []
        """Fields that are wrong, each with its `rule`."""
        self.retry_after = int(response.headers.get("retry-after", "0"))
        """Seconds to wait, where the answer says so."""
        said = self.problem.get("detail") or self.problem.get("title") or ""
        super().__init__(f"{response.request.method} {response.request.url.path}: {self.status} {self.rule} {said}")


class Away(Exception):
    """A service could not be reached, or the connection broke before its answer."""


def addresses(first_port: int, host: str = "127.0.0.1", scheme: str = "http") -> dict[str, str]:
    """Return the base URL of each of the five services, on consecutive ports."""
    return {name: f"{scheme}://{host}:{first_port + position}" for position, name in enumerate(NAMES)}


def one_address(origin: str) -> dict[str, str]:
    """Return the addresses where `python -m services all` serves everything from one origin."""
    return dict.fromkeys(NAMES, origin)


def submission(sample: Mapping[str, Any], attachments: Sequence[str] = ()) -> Json:
    """Return the body of a submission made from a line of `deploy/sample/letters.jsonl`."""
    fields = ("mailbox", "subject", "body", "nature", "domain", "region", "sender")
    body: Json = {name: sample[name] for name in fields} | {"may_publish": sample["publication_consent"]}
    if "reported_mailbox" in sample:
        body["reported_mailbox"] = sample["reported_mailbox"]
    if attachments:
        body["attachments"] = list(attachments)
    return body


async def settled(call: Callable[[], Awaitable[T]], seconds: float = 20, while_: Collection[int] = (404, 409)) -> T:
    """Return what `call` returns, trying again while it is refused with one of the statuses `while_`.

    What one service did reaches the others over Kafka a moment later; until then they refuse, as they should.

    Raises:
        Refused, Away: still so after `seconds`, or refused with another status.
    """
    end, pause = time.monotonic() + seconds, 0.01
    while True:
        try:
            return await call()
        except Refused as refused:
            if refused.status not in while_ or time.monotonic() > end:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.25)


class City:
    """Speaks to the five services.

    Args:
        urls: service → base URL (`addresses`, `one_address`).
        keys: folder of the keys that sign tokens.
        directory: the mailboxes and their staff.
        timeout: seconds until a request counts as `Away`.
        patience: for how many seconds a request is sent again while a service says that it cannot for now (503: nothing was done).
        connections: how many requests go at once, at most.
        local_address: the address of this machine to call from; None: the usual one.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        keys: Path,
        directory: Directory,
        *,
        timeout: float = 30,
        patience: float = 0,
        connections: int = 32,
        local_address: str | None = None,
    ) -> None:
        self.urls = dict(urls)
        self.directory = directory
        self._keys = keys
        self._patience = patience
        self._tokens: dict[tuple[str, str], dict[str, str]] = {}
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        transport = httpx.AsyncHTTPTransport(limits=limits, local_address=local_address)
        self.http = httpx.AsyncClient(transport=transport, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        files: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Send one request to the service that the path's first word names (`/public` is publication's).

        Raises:
            Refused: the answer is 4xx or 5xx.
            Away: there is no answer.
        """
        word = path.split("/", 2)[1]
        url = self.urls["publication" if word == "public" else word] + path
        end = time.monotonic() + self._patience
        while True:
            try:
                response = await self.http.request(method, url, headers=headers, json=body, files=files, params=params)
            except httpx.TransportError as error:
                raise Away(f"{method} {path}: {type(error).__name__} {error}") from error
            if response.status_code < 400:
                return response
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > end:
                raise Refused(response)
            await asyncio.sleep(0.5)

    def person(self, mailbox: str, role: str = "clerk") -> tuple[str, str]:
        """Return subject and name of whoever has a role in a mailbox by the directory.

        Raises:
            LookupError: nobody has it.
        """
        entry = self.directory.get(mailbox)
        if role == Role.LEADER:
            leader = self.directory.leader_of(mailbox)
            return leader.subject, leader.name
        for member in entry.staff_with(Role(role)):
            return member.subject, member.name
        if role == Role.UNIT_SYSTEM:
            return f"{mailbox}-system", f"{entry.short_name}业务系统"
        raise LookupError(f"{mailbox} has no {role} in the directory")

    def token(self, mailbox: str, role: str = "clerk") -> dict[str, str]:
        """Return the request headers of whoever has a role in a mailbox."""
        found = self._tokens.get((mailbox, role))
        if found is None:
            subject, name = self.person(mailbox, role)
            found = self._tokens[mailbox, role] = self.token_of(subject, mailbox, role, name=name)
        return found

    def token_of(self, subject: str, mailbox: str, *roles: str, name: str = "") -> dict[str, str]:
        """Return the request headers of any person with any roles."""
        token = issue_token(subject, mailbox, roles, keys_dir=self._keys, name=name, hours=TOKEN_HOURS)
        return {"Authorization": f"Bearer {token}"}

    async def _get(self, path: str, headers: Mapping[str, str] | None = None, **params: Any) -> Json:
        answer: Json = (await self.ask("GET", path, headers=headers, params=params or None)).json()
        return answer

    async def _post(self, path: str, headers: Mapping[str, str], body: Any = None) -> Json:
        answer: Json = (await self.ask("POST", path, headers=headers, body=body)).json()
        return answer

    async def pages(self, path: str, headers: Mapping[str, str] | None, **params: Any) -> list[Json]:
        """Return all items of a list, page after page."""
        items: list[Json] = []
        cursor: str | None = None
        while True:
            page = await self._get(path, headers, **params, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next"]
            if not cursor:
                return items

    # ── citizens (intake) ────────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, body: Mapping[str, Any], key: str | None = None) -> Json:
        """Submit a letter (see `submission`) under an Idempotency-Key, fresh if not given → receipt, status_url, received_at."""
        return await self._post("/intake/letters", {"Idempotency-Key": key or str(uuid4())}, dict(body))

    async def attach(self, name: str, content: bytes) -> Json:
        """Upload a file → `attachment`, to be named in a submission, and name, media_type, size, sha256."""
        answer: Json = (await self.ask("POST", "/intake/attachments", files={"file": (name, content)})).json()
        return answer

    async def standing(self, receipt: str) -> Json:
        """Where a letter stands, as its citizen sees it."""
        return await self._get(f"/intake/receipts/{receipt}")

    # ── screening (intake) ───────────────────────────────────────────────────────────────────────────────────────────

    async def letters(self, mailbox: str, stage: str = "unread") -> list[Json]:
        """All letters of a mailbox at a stage of screening, oldest first."""
        path = f"/intake/mailboxes/{mailbox}/letters"
        return await self.pages(path, self.token(mailbox), stage=stage, limit=200)

    async def letter(self, letter_id: str, mailbox: str) -> Json:
        """A letter with its contact data, for the clerk of the mailbox that received it."""
        return await self._get(f"/intake/letters/{letter_id}", self.token(mailbox))

    async def download(self, letter_id: str, mailbox: str, attachment_id: str) -> bytes:
        """An attachment's bytes."""
        path = f"/intake/letters/{letter_id}/attachments/{attachment_id}"
        return (await self.ask("GET", path, headers=self.token(mailbox))).content

    async def read(self, letter_id: str, mailbox: str) -> Json:
        """Read (阅信)."""
        return await self._post(f"/intake/letters/{letter_id}/read", self.token(mailbox))

    async def reclassify(self, letter_id: str, mailbox: str, classification: Mapping[str, Any]) -> Json:
        """Correct nature, domain, region (更正分类)."""
        path = f"/intake/letters/{letter_id}/classification"
        answer: Json = (await self.ask("PUT", path, headers=self.token(mailbox), body=dict(classification))).json()
        return answer

    async def register(self, letter_id: str, mailbox: str) -> Json:
        """Register (登记): the letter gets its number."""
        return await self._post(f"/intake/letters/{letter_id}/register", self.token(mailbox))

    async def discard(self, letter_id: str, mailbox: str, reason: str, remark: str = "") -> Json:
        """Do not accept (不予受理), for one of the five reasons."""
        body = {"reason": reason, "remark": remark}
        return await self._post(f"/intake/letters/{letter_id}/discard", self.token(mailbox), body)

    async def note(self, letter_id: str, mailbox: str, remark: str = "") -> Json:
        """Archive for reference (掌握)."""
        return await self._post(f"/intake/letters/{letter_id}/note", self.token(mailbox), {"remark": remark})

    # ── handling (routing) ───────────────────────────────────────────────────────────────────────────────────────────

    async def handling(self, letter_id: str, mailbox: str, role: str = "clerk") -> Json:
        """A letter and its slips, hand-offs and replies, as a mailbox sees them."""
        return await self._get(f"/routing/letters/{letter_id}", self.token(mailbox, role))

    async def in_list(self, mailbox: str, name: str) -> list[Json]:
        """One of a mailbox's lists: pending, slips, in-hand, arrivals, collected, replies, finished."""
        return await self.pages(f"/routing/mailboxes/{mailbox}/letters", self.token(mailbox), list=name, limit=200)

    async def prepare_slip(
        self,
        letter_id: str,
        receiver: str,
        sender: str = "mayor",
        *,
        answer_by: str = "assignee",
        opinion: str = OPINION,
        requirements: str = REQUIREMENTS,
    ) -> Json:
        """The sender's clerk drafts an assignment slip (拟办) → the letter; the new slip is the last of `slips`."""
        body = {"receiver": receiver, "opinion": opinion, "requirements": requirements, "answer_by": answer_by}
        return await self._post(f"/routing/letters/{letter_id}/slips", self.token(sender), body)

    async def approve_slip(self, letter_id: str, slip_id: str, sender: str = "mayor") -> Json:
        """The sender's head approves: the letter is handed out (交办); the hand-off has the slip's id."""
        return await self._post(f"/routing/letters/{letter_id}/slips/{slip_id}/approve", self.token(sender, "head"))

    async def refuse_slip(self, letter_id: str, slip_id: str, sender: str, reason: str) -> Json:
        """The sender's head gives the slip back."""
        path = f"/routing/letters/{letter_id}/slips/{slip_id}/refuse"
        return await self._post(path, self.token(sender, "head"), {"reason": reason})

    async def collect(self, letter_id: str, handoff_id: str, unit: str) -> Json:
        """The unit signs for the letter (签收)."""
        return await self._post(f"/routing/letters/{letter_id}/handoffs/{handoff_id}/collect", self.token(unit))

    async def record_progress(self, letter_id: str, handoff_id: str, unit: str, text: str) -> Json:
        """The unit explains its progress."""
        path = f"/routing/letters/{letter_id}/handoffs/{handoff_id}/progress"
        return await self._post(path, self.token(unit), {"text": text})

    async def reply(self, letter_id: str, handoff_id: str, unit: str, text: str) -> Json:
        """The unit's clerk drafts its reply (承办回复) → the letter; the draft is the last of the hand-off's `replies`."""
        path = f"/routing/letters/{letter_id}/handoffs/{handoff_id}/replies"
        return await self._post(path, self.token(unit), {"text": text})

    async def approve_reply(self, letter_id: str, handoff_id: str, reply_id: str, unit: str) -> Json:
        """The unit's head approves the draft; where the unit answers the citizen, the letter is finished with it."""
        path = f"/routing/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}/approve"
        return await self._post(path, self.token(unit, "head"))

    async def refuse_reply(self, letter_id: str, handoff_id: str, reply_id: str, unit: str, reason: str) -> Json:
        """The unit's head gives the draft back."""
        path = f"/routing/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}/refuse"
        return await self._post(path, self.token(unit, "head"), {"reason": reason})

    async def answer(self, letter_id: str, mailbox: str, text: str, channel: str = "phone") -> Json:
        """The assigner answers the citizen (答复来信人), where it kept that to itself."""
        path = f"/routing/letters/{letter_id}/answer"
        return await self._post(path, self.token(mailbox), {"channel": channel, "text": text})

    # ── deadline ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def clocks(self, letter_id: str, mailbox: str) -> list[Json]:
        """The clocks of one letter."""
        found: list[Json] = (await self._get(f"/deadline/letters/{letter_id}", self.token(mailbox)))["clocks"]
        return found

    async def running_clocks(self, mailbox: str, state: str = "running") -> list[Json]:
        """The clocks on which a mailbox must act: `running`, of them `due-soon`, or `overdue`."""
        path = f"/deadline/mailboxes/{mailbox}/clocks"
        return await self.pages(path, self.token(mailbox), state=state, limit=200)

    # ── publication and the public site ──────────────────────────────────────────────────────────────────────────────

    async def case(self, letter_id: str, mailbox: str) -> Json:
        """A publication case."""
        return await self._get(f"/publication/cases/{letter_id}", self.token(mailbox))

    async def prepare_publication(
        self, letter_id: str, mailbox: str, subject: str, body: str, reply: str, grounds: Collection[str] = ()
    ) -> Json:
        """A clerk of the mailbox that answered proposes the public text and answers the four questions."""
        text = {"subject": subject, "body": body, "reply": reply}
        asked = {question: question in grounds for question in QUESTIONS}
        return await self._post(f"/publication/cases/{letter_id}/prepare", self.token(mailbox), text | asked)

    async def approve_publication(self, letter_id: str, mailbox: str, text_hash: str) -> Json:
        """The head approves exactly the text with this hash, having looked at what in it was still marked: it is public."""
        path = f"/publication/cases/{letter_id}/approve"
        body = {"text_hash": text_hash, "confirm_marks": True}
        return await self._post(path, self.token(mailbox, "head"), body)

    async def withhold(self, letter_id: str, mailbox: str, grounds: Sequence[str] = ()) -> Json:
        """The head decides not to publish."""
        path = f"/publication/cases/{letter_id}/withhold"
        return await self._post(path, self.token(mailbox, "head"), {"grounds": list(grounds)})

    async def published(self) -> list[Json]:
        """The public list, newest first."""
        return await self.pages("/public/letters.json", None, limit=100)

    async def published_letter(self, number: str) -> Json:
        """A public letter by the ASCII form of its number."""
        return await self._get(f"/public/letters/{number}.json")

    async def board(self) -> Json:
        """The notice board (公示栏)."""
        return await self._get("/public/board.json")

    async def page(self, path: str) -> str:
        """A page as a browser gets it."""
        return (await self.ask("GET", path, headers={"Accept": "text/html"})).text

    # ── reporting ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def weeks(self) -> list[Json]:
        """The weeks of which there are figures, newest first."""
        found: list[Json] = (await self._get("/reporting/weeks"))["items"]
        return found

    async def week(self, week: str) -> Json:
        """The bulletin of a week such as 2026-W07."""
        return await self._get(f"/reporting/weeks/{week}")

    async def figures(self, mailbox: str | None, first: str, end: str) -> Json:
        """The figures of a mailbox, or of the whole city (None), from a day up to a day that is not counted."""
        path = "/reporting/city/figures" if mailbox is None else f"/reporting/mailboxes/{mailbox}/figures"
        params = {"from": first, "to": end}
        headers = self.token(self.directory.mayor.code, "duty_officer")
        answer: Json = (await self.ask("GET", path, headers=headers, params=params)).json()
        return answer
