"""Published letters as open data: the fields, what they mean, and a letter as a line of CSV or JSON (R9.2)."""

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Final

import orjson
from pydantic import BaseModel

from services.publication.public_views import LetterPage
from shared.calendar.zone import SHANGHAI
from shared.text.tables import plain

BYTE_ORDER_MARK: Final = "\ufeff"
"""Spreadsheet programs take a CSV file to be UTF-8 only with it."""


class Field(BaseModel):
    """A field of the data dictionary."""

    name: str
    type: str
    zh: str
    en: str


FIELDS: Final = (
    Field(name="number", type="string", zh="信件编号（地址用）", en="Letter number as used in addresses"),
    Field(name="number_text", type="string", zh="信件编号", en="Letter number as printed"),
    Field(name="subject", type="string", zh="标题（批准公开的文本）", en="Subject, the text approved for the public"),
    Field(
        name="letter", type="string", zh="来信内容（批准公开的文本）", en="The letter, the text approved for the public"
    ),
    Field(
        name="reply", type="string", zh="答复内容（批准公开的文本）", en="The answer, the text approved for the public"
    ),
    Field(name="unit", type="string", zh="答复单位信箱代码", en="Code of the mailbox that answered"),
    Field(name="unit_name", type="string", zh="答复单位", en="Name of the unit that answered"),
    Field(
        name="nature",
        type="string",
        zh="性质代码：suggestion 建议、help 求助、complaint 投诉、report 举报、inquiry 咨询、other 其他",
        en="Nature: suggestion, help, complaint, report, inquiry or other",
    ),
    Field(name="nature_name", type="string", zh="性质", en="Chinese name of the nature"),
    Field(name="domain", type="string", zh="领域代码", en="Code of the domain"),
    Field(name="domain_name", type="string", zh="领域（含上级）", en="Chinese name of the domain with those above it"),
    Field(name="region", type="string", zh="地区代码（GB/T 2260）", en="Code of the region, GB/T 2260"),
    Field(name="region_name", type="string", zh="地区", en="Chinese name of the region"),
    Field(
        name="month_received", type="string, YYYY-MM", zh="来信月份（北京时间）", en="Month of receipt, Beijing time"
    ),
    Field(
        name="published_at",
        type="string, ISO 8601 with offset",
        zh="公开时间；更正后为更正的公开时间",
        en="When it was published; of a correction, when that was",
    ),
    Field(
        name="attachments",
        type="list of addresses (CSV: separated by spaces)",
        zh="批准公开的附件地址",
        en="Addresses of the files approved for the public",
    ),
    Field(
        name="text_sha256",
        type="string",
        zh="批准公开的文本和附件的 SHA-256（十六进制）",
        en="SHA-256 (hex) of the approved text and files",
    ),
    Field(name="address", type="string", zh="网页地址", en="Address of its page"),
    Field(name="licence", type="string", zh="使用许可", en="Licence of use"),
)
"""In the order of the columns."""


class Licence(BaseModel):
    """Under what the data may be used again."""

    name: str
    address: str | None

    @classmethod
    def read(cls, setting: str) -> "Licence":
        """Read the setting: the name, then its address if it has one."""
        name, _, last = setting.strip().rpartition(" ")
        return (
            cls(name=name.strip(), address=last)
            if last.startswith("http") and name
            else cls(name=setting.strip(), address=None)
        )


class Dictionary(BaseModel):
    """The data dictionary."""

    title: str = "公开信件开放数据 / Open data of published letters"
    encoding: str = "UTF-8"
    formats: Mapping[str, str] = {
        "csv": "RFC 4180，带 BOM；以公式符号开头的单元格前加一个单引号 / RFC 4180 with a byte order mark; cells that begin like a "
        "formula have an apostrophe before them",
        "jsonl": "每行一封信的 JSON 对象 / one JSON object per line",
    }
    months: str = "按公开月份（北京时间）分文件，新公开的在前 / one file per month of publication (Beijing time), the newest first"
    licence: Licence
    fields: tuple[Field, ...] = FIELDS


class Month(BaseModel):
    """The files of one month of publication."""

    month: str
    count: int
    csv: str
    jsonl: str


class DataIndex(BaseModel):
    """What there is."""

    licence: Licence
    dictionary: str = "/public/data/dictionary.json"
    total: int
    months: list[Month]
    """The newest first."""


def bounds(month: str) -> tuple[datetime, datetime]:
    """Return the first moment of a month (Asia/Shanghai) and that of the next, UTC."""
    year, number = (int(part) for part in month.split("-"))
    first = datetime(year, number, 1, tzinfo=SHANGHAI)
    following = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=SHANGHAI)
    return first.astimezone(UTC), following.astimezone(UTC)


def row(letter: LetterPage, licence: Licence) -> dict[str, Any]:
    """Return a letter's fields."""
    return {
        "number": letter.number,
        "number_text": letter.number_text,
        "subject": letter.subject,
        "letter": letter.body,
        "reply": letter.reply,
        "unit": letter.mailbox,
        "unit_name": letter.unit,
        "nature": letter.nature.value if letter.nature else None,
        "nature_name": letter.nature_name,
        "domain": letter.domain,
        "domain_name": letter.domain_name,
        "region": letter.region,
        "region_name": letter.region_name,
        "month_received": letter.month,
        "published_at": letter.published_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "attachments": [file.address for file in letter.attachments],
        "text_sha256": letter.text_hash,
        "address": letter.address,
        "licence": licence.name,
    }


def json_line(fields: Mapping[str, Any]) -> str:
    """Return a line of JSON lines."""
    return orjson.dumps(fields).decode() + "\n"


def csv_head() -> str:
    """Return the byte order mark and the line of column names."""
    return BYTE_ORDER_MARK + _line(field.name for field in FIELDS)


def csv_line(fields: Mapping[str, Any]) -> str:
    """Return a line of CSV (RFC 4180); no cell is a formula to a spreadsheet program."""
    return _line(_cell(fields[field.name]) for field in FIELDS)


def _cell(value: Any) -> str:
    text = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    return plain(text)


def _line(cells: Any) -> str:
    written = StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue()
