"""The operator's words: what is looked for before an erasure, what is refused before it, and what help and errors say in full."""

import json
from pathlib import Path

import pytest

from deploy import topics
from deploy.ops.__main__ import _why, main, parser
from deploy.ops.certificate import refuse_unwritable, write
from deploy.ops.console import Refused
from deploy.ops.erase import sought
from shared.messaging.topics import TopicsRefused
from shared.printing.press import Press
from tests.conftest import DATA

CERTIFICATE = {"letter_id": "letter-1", "sha256": "0123456789abcdef" * 4}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("路灯不亮", "路灯不亮"),
        ("你好！\n我家楼下的路灯坏了。\n谢谢", "我家楼下的路灯坏了。"),
        ('他说："明天就来修理路灯。" 没有来。', "明天就来修理路灯。"),
        ("C:\\文件夹\\路灯的照片.jpg", "路灯的照片.jpg"),
        ("门牌\t解放碑步行街一号", "解放碑步行街一号"),
        ('"', ""),
        ("", ""),
    ],
)
def test_a_text_is_looked_for_by_its_longest_part_that_json_leaves_as_it_is(text: str, found: str) -> None:
    assert sought(text) == found
    assert found in text
    assert found in json.dumps(text, ensure_ascii=False)


def test_a_certificate_s_file_must_be_new_and_its_folder_there_before_anything_is_erased(tmp_path: Path) -> None:
    press = Press(tmp_path)
    refuse_unwritable(tmp_path / "new.json", press)
    (tmp_path / "there.json").write_text("")
    for path, said in (("there.json", "is there already"), ("nowhere/new.json", "takes no files")):
        with pytest.raises(Refused, match=said):
            refuse_unwritable(tmp_path / path, press)


def test_a_page_without_fonts_is_refused_before_anything_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.printing.press.find_folder", lambda _: None)
    with pytest.raises(Refused, match=r"nothing was erased.*\.json"):
        refuse_unwritable(tmp_path / "new.PDF", Press(tmp_path))
    with pytest.raises(Refused, match=r"on record.*log --certificate 0123456789abcdef"):
        write(tmp_path / "new.pdf", {**CERTIFICATE, "at": "2026-03-02T09:30:00+08:00"} | _EMPTY, Press(tmp_path))


_EMPTY = {"erased": [], "remains": [], "not_searched": [], "ground": "", "by": "", "reach": []}


def test_a_certificate_overwrites_nothing_and_says_how_to_have_it_again(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    write(path, CERTIFICATE, Press(tmp_path))
    assert json.loads(path.read_text("utf-8")) == CERTIFICATE
    with pytest.raises(Refused, match="log --certificate 0123456789abcdef"):
        write(path, {**CERTIFICATE, "letter_id": "letter-2"}, Press(tmp_path))
    assert json.loads(path.read_text("utf-8")) == CERTIFICATE


def test_help_says_its_sentences_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["lag", "--help"])
    assert "--most (if not given: any number)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [["create", "b", "--keep-days", "3"], ["into", "b", "--keep-days", "0"]])
def test_days_to_keep_belong_to_a_folder_of_backups(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr("shared.storage.Store.follow", nothing)
    assert main(["backup", *arguments]) == 1
    assert "--keep-days" in capsys.readouterr().err


def test_topics_that_are_refused_teach_what_gives_the_right() -> None:
    assert "python -m deploy.acls apply" in _why(TopicsRefused("x could not be created: TopicAuthorizationFailedError"))


def test_wrong_settings_are_told_by_the_topics_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOPIC_REPLICAS", "many")
    assert topics.main(["apply"]) == 2
    assert "TOPIC_REPLICAS" in capsys.readouterr().err


def test_a_directory_that_is_refused_is_told_by_the_topics_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "directory.yaml"
    file.write_text(
        (DATA / "directory.yaml").read_text("utf-8").replace("parent: mayor", "parent: nowhere", 1), "utf-8"
    )
    monkeypatch.setenv("DIRECTORY_FILE", str(file))
    for what in ("show", "apply"):
        assert topics.main([what]) == 1
        assert "nowhere" in capsys.readouterr().err
