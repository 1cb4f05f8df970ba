"""What the letters say: real letters where they lie beside the checkout, invented ones elsewhere; and pictures to go with them."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from shared.directory import Directory
from tests.chaos.plan import Ending, Errand, Way
from tests.e2e import real_letters

INVENTED = (
    ("小区门口路灯不亮", "我们小区门口的路灯坏了半个多月，晚上老人孩子出行很不安全，希望尽快修好。"),
    ("自来水水压不足", "我们楼六层以上每天早晚都没有水，物业说要找水务集团，请帮助协调解决。"),
    ("学校门口交通拥堵", "每天上学放学时校门口堵得厉害，建议安排人员疏导，并划出接送车辆的临时停车位。"),
    ("咨询老旧小区改造", "请问我们小区是否列入今年的改造计划？如果没有，什么时候能够轮到？\n谢谢！"),
)
NATURES = ("suggestion", "help", "complaint", "inquiry", "other")


@dataclass(frozen=True, slots=True)
class Text:
    """One letter's words, and its answer's."""

    subject: str
    body: str
    reply: str


def texts() -> Sequence[Text]:
    """Return all texts there are: each exactly as it must come out again at the other end."""
    letters = real_letters.load() if real_letters.FILE.is_file() else real_letters.invented()
    found = [Text(letter.kept[0].strip(), letter.kept[1].strip(), letter.reply.strip()) for letter in letters]
    usable = [text for text in found if 4 <= len(text.subject) <= 60 and 10 <= len(text.body) <= 5_000 and text.reply]
    return usable or [Text(subject, body, "已办理，感谢您的来信。") for subject, body in INVENTED]


def phone(errand: Errand) -> str:
    """Return the sender's phone number, by which the clerk knows the letter."""
    return f"138{errand.number:08}"


def letter(errand: Errand, text: Text, directory: Directory, signed: Sequence[str], seed: int) -> dict[str, object]:
    """Return the submission."""
    random = Random(f"{seed} {errand.number}")
    report = errand.way is Way.REPORT
    body: dict[str, object] = {
        "mailbox": errand.mailbox,
        "subject": text.subject,
        "body": text.body,
        "sender": {"name": random.choice(["李明", "王芳", "张伟", "欧阳静"]), "phone": phone(errand)},
        "nature": "report" if report else random.choice(NATURES),
        "domain": random.choice(directory.all_domains()).code,
        "region": random.choice(directory.regions()).code,
        "may_publish": errand.ending is not Ending.NOT_ASKED,
        "attachments": list(signed),
    }
    return body | ({"reported_mailbox": errand.unit} if report else {})


def picture(seed: int) -> bytes:
    """Return a PNG of noise of some 10 to 300 kB."""
    random = Random(seed)
    width, height = random.randrange(60, 320), random.randrange(60, 320)
    rows = b"".join(b"\0" + random.randbytes(width * 3) for _ in range(height))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
