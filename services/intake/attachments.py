"""Files that citizens attach: kept outside the letter's document, limited in size and kind, with a checksum (R2.2).

An upload is answered with a signed description of the file. The front door believes the signature, so it needs no store to
accept the letter. The signature is good for a day; a file that no letter names within two is removed. A file knows the letters that name it
(a letter that is written again names the same ones) and goes when the last of them is erased (R3.7).

A scanner looks into each before it is kept; where none answers, the file waits for one (shared/security/scanner.py).
"""

import hashlib
import hmac
import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from secrets import token_hex
from time import monotonic
from typing import Any

import filetype
import orjson
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from services.intake.repository import BEGINNING, SERVICE
from shared.contracts.errors import BadInput, NotFound, RuleBroken
from shared.contracts.types import Attachment
from shared.observability import metrics
from shared.security.scanner import Away, Gate, Unscannable
from shared.storage import Bucket, Index, Store, UpdateOne, translated

logger = logging.getLogger(__name__)

KINDS = {
    "application/pdf": "pdf",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "audio/mpeg": "mp3",
    "video/mp4": "mp4",
}
"""Media types that are taken, recognised by the file's content, never by its name."""
SIGNED_FOR = timedelta(days=1)
"""How long an upload may be named in a submission."""
ORPHANED_AFTER = SIGNED_FOR + timedelta(days=8)
"""Longer than that and than the topic `submissions` keeps a letter that was accepted in the last minute (7 days): it finds its files."""
INFECTED = "这个附件含有恶意程序，没有收下；请检查您的设备，换一个文件 / There is malware in this file, it was not taken; check your device"
HELD = "附件正等待安全检查，请稍后再下载 / The file waits for the scanner; try again in a while"
LOCKED_AWAY = (
    "附件含有恶意程序，已隔离，不能下载；请来信人另行提供 / There is malware in it, it is locked away; ask for another"
)
SCANNED_AT_ONCE = 20
LONGEST_ROUND_SECONDS = 15.0
_CHUNK = 256 * 1024
_HEAD = 8192
_UNSAFE = re.compile(
    r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2044\u2060-\u206f\u2215\u29f5\u29f8'
    r"\ud800-\udfff\ufeff\ufff9-\uffff\uff0f\uff3c]"
)
"""Paths, also those that only look like one; control characters; what nobody sees, or turns the direction of writing."""
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|\s|$)")
"""Names that are devices on Windows, with whatever ending."""
_STEM_BYTES = 200
"""File systems take 255 bytes for a name."""


def safe_name(name: str, media_type: str) -> str:
    """Return a file name without paths, control or direction marks, at most 100 characters, with the kind's ending."""
    base = _UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem = (base.rpartition(".")[0] or base)[:90].encode()[:_STEM_BYTES].decode(errors="ignore").strip(" .")
    if _DEVICE.match(stem):
        stem = f"_{stem}"
    return f"{stem or 'file'}.{KINDS[media_type]}"


@dataclass(slots=True)
class Attachments:
    """The files of letters, in the store's GridFS."""

    store: Store
    secret: bytes
    max_bytes: int
    gate: Gate

    @property
    def bucket(self) -> Bucket:
        """Where they lie."""
        return Bucket(self.store, SERVICE, "attachments")

    @property
    def collection(self) -> Any:
        """The driver's collection of file descriptions."""
        return self.bucket.descriptions

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        await self.bucket.ensure()
        await self.store.ensure(
            self.collection,
            [
                Index([("metadata.id", 1)], unique=True),
                Index([("metadata.loose_since", 1)], only_where={"metadata.loose_since": {"$exists": True}}),
                Index([("metadata.unscanned_since", 1)], only_where={"metadata.unscanned_since": {"$exists": True}}),
            ],
        )

    async def upload(self, file: UploadFile) -> tuple[Attachment, str]:
        """Store a file; return its description and the signed text that stands for it in a submission.

        Raises:
            BadInput: it is empty, too large, of a kind that is not taken, or there is malware in it.
            StoreUnavailable: the store is away.
        """
        size = file.size or 0
        if size == 0:
            raise BadInput("R2.2", "附件是空文件 / The file is empty", "/file")
        if size > self.max_bytes:
            raise BadInput(
                "R2.2",
                f"附件不能超过 {self.max_bytes // 1_000_000} MB / A file may have at most {self.max_bytes} bytes",
                "/file",
            )
        kind = filetype.guess(await file.read(_HEAD))
        media_type = kind.mime if kind is not None else ""
        if media_type not in KINDS:
            allowed = "、".join(sorted(KINDS.values()))
            raise BadInput("R2.2", f"只接受这些类型的附件：{allowed} / Only these kinds of files are taken", "/file")
        await file.seek(0)
        verdict = await self.gate.look(file.file)
        if verdict is not None and verdict.found:
            raise BadInput("R2.2", INFECTED, "/file")
        now = datetime.now(UTC)
        waiting = {} if verdict is not None else {"unscanned_since": now}
        digest = hashlib.sha256()
        attachment_id = token_hex(16)
        name = safe_name(file.filename or "", media_type)
        described = {"id": attachment_id, "media_type": media_type, "loose_since": now, **waiting}
        async with self.bucket.new(name, described) as upload:
            while chunk := await file.read(_CHUNK):
                digest.update(chunk)
                await upload.write(chunk)
        attachment = Attachment(
            id=attachment_id, name=name, media_type=media_type, size=size, sha256=digest.hexdigest()
        )
        return attachment, self.sign(attachment)

    def sign(self, attachment: Attachment, at: datetime | None = None) -> str:
        """Return the text that stands for an uploaded file in a submission made within a day of `at` (real time; none: now)."""
        until = int(((at or datetime.now(UTC)) + SIGNED_FOR).timestamp())
        described = urlsafe_b64encode(orjson.dumps({**attachment.model_dump(), "until": until})).rstrip(b"=")
        return f"{described.decode()}.{self._signature(described)}"

    def verify(self, signed: str) -> Attachment | None:
        """Return the file that a signed text stands for, or none if it is not ours or too old."""
        described, _, signature = signed.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(described.encode()).encode()):
            return None
        try:
            raw = urlsafe_b64decode(described.encode() + b"=" * (-len(described) % 4))
            content = orjson.loads(raw)
            return Attachment.model_validate(content) if content["until"] >= datetime.now(UTC).timestamp() else None
        except (ValueError, KeyError, TypeError, ValidationError):
            return None

    def _signature(self, described: bytes) -> str:
        return hmac.digest(self.secret, b"attachment\x00" + described, "sha256").hex()

    async def belong(self, letters: Mapping[str, Sequence[str]]) -> None:
        """Note which letters name which files (letter id → attachment ids), so that they are kept."""
        writes = [
            UpdateOne(
                {"metadata.id": file},
                {"$addToSet": {"metadata.letters": letter_id}, "$unset": {"metadata.loose_since": ""}},
            )
            for letter_id, files in sorted(letters.items())
            for file in files
        ]
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)

    async def release(self, letters: Mapping[str, Sequence[str]]) -> None:
        """Remove the files of letters that are erased, but for those that another letter names (R3.7). Again: nothing."""
        writes = [
            UpdateOne({"metadata.id": file}, {"$pull": {"metadata.letters": letter_id}})
            for letter_id, files in sorted(letters.items())
            for file in files
        ]
        if not writes:
            return
        files = [file for named in letters.values() for file in named]
        with translated():
            await self.collection.bulk_write(writes, ordered=False)
            left = self.collection.find({"metadata.id": {"$in": files}}, {"metadata.letters": 1})
            gone = [d["_id"] async for d in left if not d["metadata"].get("letters")]
        await self.bucket.remove(gone)

    async def held(self, ids: Sequence[str]) -> dict[str, str]:
        """Return why files cannot be opened: attachment id → `waiting` (for the scanner) or `malware`; those that can are left out."""
        if not ids:
            return {}
        query = {"metadata.id": {"$in": list(ids)}}
        with translated():
            found = self.collection.find(query, {"metadata": 1})
            kept = [described["metadata"] async for described in found]
        locked = {file["id"]: "malware" for file in kept if file.get("malware")}
        waits = {file["id"]: "waiting" for file in kept if "unscanned_since" in file and self.gate.policy == "hold"}
        return waits | locked

    async def open(self, attachment_id: str) -> AsyncIterator[bytes]:
        """Return a file's content in pieces.

        Raises:
            NotFound: there is no such file.
            RuleBroken: it may not be given out: no scanner has looked into it yet, or one found malware in it.
        """
        with translated():
            described = await self.collection.find_one({"metadata.id": attachment_id})
        if described is None:
            raise _missing()
        if described["metadata"].get("malware"):
            raise RuleBroken("R2.2", LOCKED_AWAY)
        if "unscanned_since" in described["metadata"] and self.gate.policy == "hold":
            raise RuleBroken("R2.2", HELD)
        content = await self.bucket.open(described["_id"])
        if content is None:
            raise _missing()
        return content

    async def scan_waiting(self) -> None:
        """Look into the files that no scanner has seen yet, the oldest first, until the scanner stops answering.

        A file on which it gives no verdict has its next turn after all others: whatever somebody sends, it holds nobody else's up. What
        takes long ends the round, for other measures wait for it.
        """
        if not self.gate.there and self.gate.policy == "accept":
            return  # nobody waits for a scanner
        waiting = {"metadata.unscanned_since": {"$gt": BEGINNING, "$lt": datetime.now(UTC) + timedelta(days=1)}}
        with translated():
            metrics.unscanned_files.labels(SERVICE).set(await self.collection.count_documents(waiting))
        if not self.gate.there:
            return
        with translated():
            found = (
                self.collection.find(waiting, {"_id": 1}).sort([("metadata.unscanned_since", 1)]).limit(SCANNED_AT_ONCE)
            )
            due = [described["_id"] async for described in found]
        began = monotonic()
        for file in due:
            if monotonic() - began > LONGEST_ROUND_SECONDS:
                return
            content = await self.bucket.open(file)
            if content is None:
                continue  # it went meanwhile, with its letter
            whole = b"".join([piece async for piece in content])
            try:
                verdict = await self.gate.ask(BytesIO(whole))
            except Away:
                return
            except Unscannable:
                change: dict[str, Any] = {"$set": {"metadata.unscanned_since": datetime.now(UTC)}}
            else:
                change = {"$unset": {"metadata.unscanned_since": ""}}
                if verdict.found:
                    logger.warning("malware in a file that was held", extra={"malware": verdict.found})
                    change["$set"] = {"metadata.malware": verdict.found}
            with translated():
                await self.collection.update_one({"_id": file}, change)

    async def remove_orphans(self) -> None:
        """Remove files that no letter named within nine days, at most 100 at a time."""
        with translated():
            loose = {"$gt": BEGINNING, "$lt": datetime.now(UTC) - ORPHANED_AFTER}
            found = self.collection.find({"metadata.loose_since": loose}, {"_id": 1}).limit(100)
            orphans = [described["_id"] async for described in found]
        await self.bucket.remove(orphans)


def _missing() -> NotFound:
    return NotFound("R2.2", "没有这个附件 / There is no such attachment")
