"""No text makes a pattern of ours take for ever (ReDoS): the time to look through a text grows as the text does, never as its square."""

import json
import re
import subprocess
import sys

from tests.patterns import LINEAR, growth


def test_redos_no_regular_expression_of_ours_takes_longer_than_its_text_is_long() -> None:
    ran = subprocess.run([sys.executable, "-m", "tests.patterns"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr or "a pattern never ended"
    found = json.loads(ran.stdout)
    assert found["tried"] > 50, "they are found"
    assert found["slow"] == {}


def test_redos_a_pattern_that_takes_the_square_of_its_text_is_seen() -> None:
    assert growth(re.compile(r"\s+$"), " ") > LINEAR
    assert growth(re.compile(r"a{1,40}b"), "a") < LINEAR
