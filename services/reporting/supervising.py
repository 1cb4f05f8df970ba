"""The part of reporting that judges, put together: spot checks (R11.1) and the assessment (R11.4)."""

from services.reporting import routes_assessment, routes_checks
from services.reporting.assessment import load_method
from services.reporting.checklist import load_checklist
from services.reporting.domain import Row
from services.reporting.issuing import Issuing
from services.reporting.scores import Scores
from services.reporting.spot_desk import SpotDesk
from services.reporting.spot_store import Spots
from services.runtime import Service
from shared.storage import Aggregates


def supervise(service: Service, rows: Aggregates[Row], issuing: Issuing) -> None:
    """Add both to the service. An assessment waits for the same as a bulletin does.

    Raises:
        ConfigurationError: the checklist or the method of assessment cannot be used.
    """
    kit = service.kit
    spots = Spots(kit.store, rows, kit.directory)
    checks = SpotDesk(spots, kit.directory, load_checklist(kit.settings.checklist_file))
    method = load_method(kit.settings.assessment_file, kit.directory)
    scores = Scores(spots, kit.directory, method, issuing.counted.through, issuing.after)
    service.prepare.append(spots.ensure)
    service.routers += [
        routes_checks.router(checks, kit.clock, kit.press),
        routes_assessment.router(scores, kit.clock, kit.press),
    ]
