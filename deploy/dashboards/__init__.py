"""Grafana dashboards made from one description: `python -m deploy.dashboards` writes `deploy/grafana/dashboards/*.json`."""
