"""All dashboards."""

from collections.abc import Sequence

from deploy.dashboards.engines import ENGINES, SLO
from deploy.dashboards.model import Dashboard
from deploy.dashboards.office import OFFICE
from deploy.dashboards.services import service
from services import NAMES

ALL: Sequence[Dashboard] = (OFFICE, *map(service, NAMES), ENGINES, SLO)
