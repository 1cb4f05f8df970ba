"""Every metric of the five services, declared once; all carry the label ``service``.

Times are seconds. Labels are low in number by construction: routes are templates, and the topics of single mailboxes are one.
"""

import re
from functools import lru_cache

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

# The *_created series would double the page and answer nothing that a restart does not.
disable_created_metrics()  # type: ignore[no-untyped-call]

http_requests_total = Counter(
    "xinxiang_http_requests_total", "HTTP requests answered.", ["service", "method", "route", "status"]
)
http_request_seconds = Histogram(
    "xinxiang_http_request_seconds",
    "Time from a request's arrival to the end of its answer.",
    ["service", "method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
connections_cut_total = Counter(
    "xinxiang_connections_cut_total",
    "Connections that were closed by us, by reason: slow_head, long_head, slow_body, unread_answer or too_many.",
    ["service", "reason"],
)
messages_total = Counter(
    "xinxiang_messages_total",
    "Messages consumed, by outcome: handled, duplicate, parked, waiting (for a gap or a parked one) or retried.",
    ["service", "topic", "outcome"],
)
message_handling_seconds = Histogram(
    "xinxiang_message_handling_seconds",
    "Time to handle one batch of messages.",
    ["service", "topic"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
message_batch_size = Histogram(
    "xinxiang_message_batch_size",
    "Messages in one batch.",
    ["service", "topic"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500),
)
facts_published_total = Counter("xinxiang_facts_published_total", "Facts acknowledged by Kafka.", ["service", "type"])
consumer_lag = Gauge(
    "xinxiang_consumer_lag",
    "Messages between the last one handled and the end.",
    ["service", "group", "topic", "partition"],
)
outbox_depth = Gauge("xinxiang_outbox_depth", "Aggregates with facts that are not yet published.", ["service"])
outbox_oldest_seconds = Gauge("xinxiang_outbox_oldest_seconds", "Age of the oldest unpublished fact.", ["service"])
waiting_letters = Gauge(
    "xinxiang_waiting_letters", "Letters with messages that wait for a parked or missing one.", ["service"]
)
parked_letters = Gauge(
    "xinxiang_parked_letters", "Messages that wait for a person to replay or drop them.", ["service"]
)
recount_seconds = Histogram(
    "xinxiang_recount_seconds",
    "Time to recount one portion of dirty (mailbox, day) cells.",
    ["service"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
dirty_cells = Gauge("xinxiang_dirty_cells", "Cells (mailbox, day) that wait to be recounted.", ["service"])
dirty_cells_oldest_seconds = Gauge(
    "xinxiang_dirty_cells_oldest_seconds", "How long the oldest of them has waited.", ["service"]
)
bulletins_issued_total = Counter(
    "xinxiang_bulletins_issued_total", "Bulletins issued by this process, by series.", ["service", "series"]
)
bulletin_missing_seconds = Gauge(
    "xinxiang_bulletin_missing_seconds",
    "How long the oldest bulletin that is due has been missing; 0: none is (R11.2).",
    ["service"],
)
week_figure = Gauge(
    "xinxiang_week_figure",
    "A figure of the running week (R10.4), by its code; of assignments all units together.",
    ["service", "mailbox", "figure"],
)
backup_last_success_timestamp_seconds = Gauge(
    "xinxiang_backup_last_success_timestamp_seconds",
    "When the last backup went through, as the operator's command recorded it.",
    ["service"],
)
letters = Gauge("xinxiang_letters", "Letters by state.", ["service", "state"])
scans_total = Counter(
    "xinxiang_scans_total",
    "Files looked into for malware, by outcome: clean, infected, failed or away.",
    ["service", "outcome"],
)
unscanned_files = Gauge("xinxiang_unscanned_files", "Citizens' files that no scanner has looked into yet.", ["service"])
mailbox_clocks = Gauge(
    "xinxiang_mailbox_clocks",
    "Running clocks on which a mailbox must act, by kind (R1.4).",
    ["service", "mailbox", "kind"],
)
mailbox_overdue = Gauge(
    "xinxiang_mailbox_overdue", "Those of them that are overdue, by kind (R1.4).", ["service", "mailbox", "kind"]
)
mailbox_due_soon = Gauge(
    "xinxiang_mailbox_due_soon", "Running clocks of a mailbox that are due soon (R1.4).", ["service", "mailbox"]
)
mailbox_oldest_seconds = Gauge(
    "xinxiang_mailbox_oldest_seconds",
    "How long the oldest of a mailbox's running clocks has run; 0: none runs (R1.4).",
    ["service", "mailbox"],
)
clock_sweep_seconds = Histogram(
    "xinxiang_clock_sweep_seconds",
    "Time of one sweep over the clocks that are due.",
    ["service"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
clocks_fired_total = Counter(
    "xinxiang_clocks_fired_total", "Reminders, overdue declarations and urgings, by kind.", ["service", "kind"]
)

build_info = Gauge("xinxiang_build_info", "1, with the release that the process runs.", ["service", "release"])
ready = Gauge("xinxiang_ready", "1: the service can work; 0: /health/ready says what it waits for.", ["service"])
engine_up = Gauge(
    "xinxiang_engine_up", "Whether an engine answers the service (1) or not (0): store or kafka.", ["service", "engine"]
)
task_done_timestamp_seconds = Gauge(
    "xinxiang_task_done_timestamp_seconds",
    "When a regular task of the process last came to its end without an error; real time, seconds since 1970.",
    ["service", "task"],
)
consumer_position = Gauge(
    "xinxiang_consumer_position",
    "Offset up to which a partition was taken in hand.",
    ["service", "group", "topic", "partition"],
)
store_seconds = Histogram(
    "xinxiang_store_seconds",
    "Time of one operation on the store: ping (a sign of life), read or write of a batch of letters.",
    ["service", "operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
delivery_seconds = Histogram(
    "xinxiang_delivery_seconds",
    "From the moment a letter was accepted to that at which its mailbox's topic and list had it; real time.",
    ["service"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)
clocks_undeclared_seconds = Gauge(
    "xinxiang_clocks_undeclared_seconds",
    "How long the longest due clock has not been declared; 0: none is due. By the services' clock.",
    ["service"],
)
overdue_delay_seconds = Histogram(
    "xinxiang_overdue_delay_seconds",
    "From the moment a clock was due to the declaration that it is overdue, by kind (R3.1, R6.1); by the services' clock.",
    ["service", "kind"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 86400),
)

OUTCOMES = ("handled", "duplicate", "parked", "waiting", "retried")

_PER_MAILBOX = re.compile(r"\b(mailbox|actions)\.[^.]+$")


@lru_cache(maxsize=4096)
def topic_label(topic: str) -> str:
    """The label for a topic: ``mailbox.yuzhong`` is ``mailbox.{code}``, ``actions.yuzhong`` is ``actions.{code}``."""
    return _PER_MAILBOX.sub(r"\1.{code}", topic)


def metrics_page() -> tuple[bytes, str]:
    """All metrics in Prometheus' text format, and its content type."""
    return generate_latest(), CONTENT_TYPE_LATEST
