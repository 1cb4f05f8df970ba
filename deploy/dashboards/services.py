"""One dashboard for each service: the same panels, and its own."""

from collections.abc import Mapping, Sequence

from deploy.dashboards.model import Dashboard, Panel, Query, Row
from deploy.dashboards.parts import BAD, number, one

ASKED = 'route!~"/health.*|/metrics"'
"""Requests of people and systems, not of those who watch."""
PUBLIC = 'service="publication",route!~"/publication.*|/health.*|/metrics"'
SENT = 'service="intake",method="POST",route=~"/intake/letters|/write"'

SPECIAL: Mapping[str, Sequence[Panel]] = {
    "intake": [
        Panel(
            "送达用时 Time to mailbox",
            [
                Query(
                    "histogram_quantile(0.5, sum by (le) (rate(xinxiang_delivery_seconds_bucket[$__rate_interval])))",
                    "p50",
                ),
                Query("xinxiang:delivery_seconds:p99_5m", "p99"),
            ],
            unit="s",
            about="objective: 99 % within 1 s",
        ),
        one(
            "过频被拒 Refused as too many",
            'sum by (route) (rate(xinxiang_http_requests_total{service="intake",status="429"}[$__rate_interval])) or on() vector(0)',
            "{{route}}",
            unit="reqps",
        ),
        one(
            "来信受理结果 Letters: answers",
            f"sum by (status) (rate(xinxiang_http_requests_total{{{SENT}}}[$__rate_interval]))",
            "{{status}}",
            unit="reqps",
        ),
        one("待办来信 Letters by stage", 'max by (state) (xinxiang_letters{service="intake"})', "{{state}}"),
        Panel(
            "附件安全检查 Files and the scanner",
            [
                Query("max(xinxiang_unscanned_files) or on() vector(0)", "待查 waiting"),
                Query(
                    'sum by (service, outcome) (increase(xinxiang_scans_total{outcome=~"away|failed"}[1h])) or on() vector(0)',
                    "{{service}} {{outcome}}",
                ),
            ],
            about="files that no scanner has looked into yet; in an hour: scanner away, no verdict on a file",
            limits=BAD,
        ),
    ],
    "routing": [
        one("办理环节 Letters by stage", 'max by (state) (xinxiang_letters{service="routing"})', "{{state}}", width=12),
        one(
            "单位系统的动作 Actions of units' systems",
            'sum by (outcome) (rate(xinxiang_messages_total{service="routing",topic=~"actions.*"}[$__rate_interval])) or on() vector(0)',
            "{{outcome}}",
            unit="ops",
            width=12,
        ),
    ],
    "deadline": [
        one(
            "时限事件 Clocks fired",
            "sum by (kind) (rate(xinxiang_clocks_fired_total[$__rate_interval])) or on() vector(0)",
            "{{kind}}",
            unit="ops",
        ),
        one(
            "一次巡查用时 One sweep",
            "histogram_quantile(0.95, sum by (le) (rate(xinxiang_clock_sweep_seconds_bucket[$__rate_interval])))",
            "p95",
            unit="s",
        ),
        one(
            "到期未认定 Due and not declared",
            "max(xinxiang_clocks_undeclared_seconds)",
            "最久 oldest",
            unit="s",
            limits=((300, "red"),),
        ),
        one(
            "逾期认定用时 From due to declared",
            "histogram_quantile(0.95, sum by (kind, le) (rate(xinxiang_overdue_delay_seconds_bucket[$__rate_interval])))",
            "{{kind}} p95",
            unit="s",
            about="objective: 99 % within 60 s",
        ),
        one("运行中的时限 Clocks", 'max by (state) (xinxiang_letters{service="deadline"})', "{{state}}", width=16),
    ],
    "publication": [
        one(
            "公开网页访问 Public pages",
            f"topk(12, sum by (route) (rate(xinxiang_http_requests_total{{{PUBLIC}}}[$__rate_interval])))",
            "{{route}}",
            unit="reqps",
            width=12,
        ),
        one(
            "公开环节与公示栏 Cases and notice board",
            'max by (state) (xinxiang_letters{service="publication"})',
            "{{state}}",
            width=12,
        ),
    ],
    "reporting": [
        one("待重算的统计格 Cells to recount", "max(xinxiang_dirty_cells)", "格 cells"),
        one(
            "最久未重算 Oldest to recount",
            "max(xinxiang_dirty_cells_oldest_seconds)",
            "最久 oldest",
            unit="s",
            limits=((900, "red"),),
        ),
        one(
            "重算用时 One recount",
            "histogram_quantile(0.95, sum by (le) (rate(xinxiang_recount_seconds_bucket[$__rate_interval])))",
            "p95",
            unit="s",
        ),
        one(
            "已印发周报、月报 Bulletins issued",
            "sum by (series) (xinxiang_bulletins_issued_total) or on() vector(0)",
            "{{series}}",
        ),
        one(
            "周报已迟 Bulletin late",
            "max(xinxiang_bulletin_missing_seconds)",
            "已迟 late",
            unit="s",
            limits=((86400, "red"),),
        ),
        one("本周数字 This week", "max by (figure) (xinxiang_week_figure)", "{{figure}}"),
    ],
}
NAMED = {"intake": "收信", "routing": "办理", "deadline": "时限", "publication": "公开", "reporting": "统计"}


def service(name: str) -> Dashboard:
    """The dashboard of one service: the same panels for each, and its own."""
    mine = f'service="{name}"'
    return Dashboard(
        f"xinxiang-{name}",
        f"服务：{NAMED[name]} {name}",
        f"docs/services/{name}.md; alerts: docs/runbooks",
        [
            number("就绪 Ready", f"min(xinxiang_ready{{{mine}}})", about="0: curl /health/ready"),
            number("实例 Replicas", f"count(xinxiang_ready{{{mine}}}) or on() vector(0)"),
            number("告警 Alerts", f'count(ALERTS{{alertstate="firing",{mine}}}) or on() vector(0)', limits=BAD),
            number("搁置 Parked", f"max(xinxiang_parked_letters{{{mine}}})", limits=BAD),
            number("受阻 Waiting", f"max(xinxiang_waiting_letters{{{mine}}})", limits=BAD),
            number(
                "积压 Lag", f"sum(service_group_topic:xinxiang_consumer_lag:sum{{{mine}}})", limits=((1000, "orange"),)
            ),
            Row(f"{NAMED[name]} {name}"),
            *SPECIAL[name],
            Row("请求 HTTP"),
            one(
                "请求（按状态）Requests, by status",
                f"sum by (status) (rate(xinxiang_http_requests_total{{{mine},{ASKED}}}[$__rate_interval])) or on() vector(0)",
                "{{status}}",
                unit="reqps",
            ),
            one(
                "用时（95%，按路由）Latency, 95 %, by route",
                "topk(10, histogram_quantile(0.95, sum by (route, le) "
                f"(rate(xinxiang_http_request_seconds_bucket{{{mine}}}[$__rate_interval]))))",
                "{{route}}",
                unit="s",
            ),
            one(
                "失败 Failures (5xx)",
                f'sum(rate(xinxiang_http_requests_total{{{mine},{ASKED},status=~"5.."}}[$__rate_interval])) or on() vector(0)',
                "5xx",
                unit="reqps",
                limits=BAD,
            ),
            Row("消息 Messages"),
            one(
                "已处理 Consumed, by outcome",
                f"sum by (topic, outcome) (rate(xinxiang_messages_total{{{mine}}}[$__rate_interval])) or on() vector(0)",
                "{{topic}} {{outcome}}",
                unit="ops",
            ),
            one("积压 Lag", f"service_group_topic:xinxiang_consumer_lag:sum{{{mine}}}", "{{group}} {{topic}}"),
            one(
                "一批用时（95%）One batch, 95 %",
                f"service_topic:xinxiang_message_handling_seconds:p95_5m{{{mine}}}",
                "{{topic}}",
                unit="s",
            ),
            one(
                "已发布事实 Facts published",
                f"sum by (type) (rate(xinxiang_facts_published_total{{{mine}}}[$__rate_interval])) or on() vector(0)",
                "{{type}}",
                unit="ops",
            ),
            one("待发 Outbox", f"max(xinxiang_outbox_depth{{{mine}}})", "来信 letters"),
            one("最久未发 Oldest unsent", f"max(xinxiang_outbox_oldest_seconds{{{mine}}})", "最久 oldest", unit="s"),
            Row("进程 Process"),
            one(
                "数据库用时（95%）Store, 95 %",
                f"service_operation:xinxiang_store_seconds:p95_5m{{{mine}}}",
                "{{operation}}",
                unit="s",
            ),
            one(
                "定时任务：距上次完成 Regular tasks: since last done",
                f"time() - max by (task) (xinxiang_task_done_timestamp_seconds{{{mine}}})",
                "{{task}}",
                unit="s",
            ),
            one(
                "处理器 CPU",
                f'rate(process_cpu_seconds_total{{job="xinxiang",{mine}}}[$__rate_interval])',
                "{{instance}}",
                unit="percentunit",
            ),
            one(
                "内存 Memory",
                f'process_resident_memory_bytes{{job="xinxiang",{mine}}}',
                "{{instance}}",
                unit="bytes",
            ),
            one("打开的文件 Open files", f'process_open_fds{{job="xinxiang",{mine}}}', "{{instance}}"),
            one(
                "版本（实例数）Releases, by replicas",
                f"count by (release) (xinxiang_build_info{{{mine}}})",
                "{{release}}",
            ),
        ],
    )
