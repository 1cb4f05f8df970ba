"""A wrong setting is refused at start with its name and what it may be."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.settings import Settings, WrongSettings, load_settings


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("KAFKA_BOOTSTRAP", "nonsense", "host:port of one or more brokers"),
        ("MONGO_URL", "postgres://x", "address of the document store"),
        ("NAMESPACE", "Bad Name", "prefix, ending in `-`"),
        ("PORT", "99999", "the port to listen on"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("SWEEP_SECONDS", "0", "real seconds between two looks"),
        ("REPLY_WORKING_DAYS", "ten", "the limit of R6.1"),
        ("WORKING_HOURS", "9-18", "from when to when letters are read"),
        ("WORKING_HOURS", "18:00-09:00", "end before they begin"),
        ("RECEIPT_SECRET", "short", "fewer than 16 characters"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings) as caught:
        load_settings()
    assert name in str(caught.value)
    assert told in str(caught.value)


def test_every_setting_says_what_it_means() -> None:
    source = Path(sys.modules[Settings.__module__].__file__ or "").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f'"""{name.upper()}: ' in source


def test_a_service_with_a_wrong_setting_ends_with_status_2() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "services", "intake"],
        env={"PATH": "", "PORT": "x", "DIRECTORY_FILE": "nowhere.yaml"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "PORT" in ended.stderr
