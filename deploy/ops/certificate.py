"""The certificate of an erasure as a page to sign and file, or as JSON.

It names places and counts, the letter's id, the ground, and who did it; nothing of the person. So it may stay on the operators' record.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.ops.console import Refused
from shared.calendar.zone import SHANGHAI
from shared.printing.press import CannotPrint, Press, qr_svg

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


def refuse_unwritable(path: Path, press: Press) -> None:
    """Look whether a certificate can be written there, before anything is erased.

    Raises:
        Refused: the file is there already, its folder is not or takes no files, or there are no fonts to print with.
    """
    if path.exists():
        raise Refused(f"{path} 已存在，未删除任何数据 / is there already, and nothing was erased: name a new file")
    if not os.access(path.parent, os.W_OK | os.X_OK) or not path.parent.is_dir():
        raise Refused(
            f"{path.parent} 不能写入，未删除任何数据 / takes no files, and nothing was erased: name one in a folder that you may write to"
        )
    if _is_page(path):
        try:
            press.type()
        except CannotPrint as error:
            raise Refused(f"未删除任何数据 / nothing was erased: {error.detail} 或写为 / or name a .json") from error


def write(path: Path, certificate: Mapping[str, Any], press: Press) -> None:
    """Write it to a new file: as PDF where the name ends so, else as JSON.

    Raises:
        Refused: it cannot be written; it is on record and can be had again.
    """
    try:
        content = printed(press, certificate) if _is_page(path) else _json(certificate)
        with path.open("xb") as file:
            file.write(content)
    except (OSError, CannotPrint) as error:
        again = f"python -m deploy.ops log --certificate {certificate['sha256'][:16]} --file FILE"
        raise Refused(
            f"证明未写入 {path}（{error}）；已记录在案，可再取 / the certificate is on record but was not written to {path}: {error}. "
            f"Have it again: {again}"
        ) from error


def _is_page(path: Path) -> bool:
    return path.suffix.lower() == ".pdf"


def _json(certificate: Mapping[str, Any]) -> bytes:
    return json.dumps(certificate, ensure_ascii=False, indent=1).encode()
