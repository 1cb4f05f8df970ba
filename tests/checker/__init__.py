"""An independent look at a city when a run is over: what was acknowledged is there, once, unchanged, and everything fits everything else.

    report = await check(folder, town)        # in a test
    python -m tests.checker <folder>          # folder: ledger.jsonl and town.json; exit status 1 where anything is violated

It reads what people outside the system kept (`tests/chaos/ledger.py`), the public interfaces and the topics. From the store itself it reads
projections, of which it compares only whether two are equal; and it asks `python -m deploy.history`. It takes facts as JSON and shares no
code with the services' decisions; a projection is rebuilt by the services' own code, for that is the claim to be checked. Memory does not
grow with the number of letters: the topic is laid out in a temporary file.
"""

from tests.checker.checking import Moving, check
from tests.checker.report import INVARIANTS, Report, Violation
from tests.checker.town import Town

__all__ = ["INVARIANTS", "Moving", "Report", "Town", "Violation", "check"]
