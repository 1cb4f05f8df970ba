"""The certificate of an erasure as a page to sign and file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.calendar.zone import SHANGHAI
from shared.printing.press import Press, qr_svg

REACH = {"contact": "联系方式", "text": "来信内容", "files": "附件"}


def _text(label: str, lines: Sequence[str], room: int = 0, signer: str = "") -> dict[str, Any]:
    return {
        "kind": "text",
        "label": label,
        "lines": list(lines),
        "indent": False,
        "signs": [],
        "room": room,
        "signer": signer,
    }


def _pair(*cells: tuple[str, str]) -> dict[str, Any]:
    return {"kind": "pair", "cells": [{"label": label, "text": text} for label, text in cells]}


def _shown(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")


def printed(press: Press, certificate: Mapping[str, Any]) -> bytes:
    """Return the certificate as PDF.

    Raises:
        CannotPrint: there are no fonts.
    """
    at = datetime.fromisoformat(certificate["at"])
    erased = [f"{one['where']}：{one['count']} 处" for one in certificate["erased"]] or ["无"]
    remains = [
        f"{one['where']}：{one['count']} 处，{'至 ' + _shown(one['until']) if one['until'] else '无期限'}；{one['why']}"
        for one in certificate["remains"]
    ]
    data = {
        "title": "个人信息删除证明",
        "name": "",
        "number": certificate["sha256"][:16],
        "mark": "来信 " + certificate["letter_id"],
        "ordinal": "",
        "rows": [
            _pair(
                ("法律依据", certificate["ground"]), ("删除范围", "、".join(REACH[one] for one in certificate["reach"]))
            ),
            _pair(("执行人", certificate["by"]), ("执行时间", _shown(certificate["at"]))),
            _text("已删除", erased),
            _text("仍保留", remains or ["无"]),
            _text("未检索", certificate["not_searched"]),
            _text("核验", [f"SHA-256 {certificate['sha256']}"]),
            _text("签署", [], 30, "执行人"),
        ],
        "annex": [],
        "annex_indent": False,
        "notes": [
            "检索了本系统全部数据库的每一文档与全部主题的每一记录。",
            "核验：本证明的 JSON 去掉 sha256 一项，键按字母排序、不留空格，其 SHA-256 应与上相同。",
        ],
        "qr": qr_svg("sha256:" + certificate["sha256"]),
        "link": "sha256:" + certificate["sha256"],
    }
    return press.render("form", data, at)
