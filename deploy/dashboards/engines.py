"""What Kafka and the store are like as services see them; and the service-level objectives."""

from deploy.dashboards.model import Dashboard, Row
from deploy.dashboards.parts import number, one

ENGINES = Dashboard(
    "xinxiang-engines",
    "Kafka 与数据库 Kafka and store",
    "As the services see them. What brokers and machines say themselves comes from exporters (targets/engines.yaml) "
    "and their own dashboards: Kafka's JMX exporter, postgres_exporter, node_exporter.",
    [
        number(
            "Kafka 可达 Kafka reached",
            'min(xinxiang_engine_up{engine="kafka"})',
            width=6,
            about="0: some service cannot reach it",
        ),
        number(
            "数据库可达 Store reached",
            'min(xinxiang_engine_up{engine="store"})',
            width=6,
            about="0: some service cannot reach it",
        ),
        number("总积压 All lag", "sum(service_group_topic:xinxiang_consumer_lag:sum)", width=6),
        number("待发事实 Unsent", "sum(service:xinxiang_outbox_depth:max)", width=6),
        Row("Kafka"),
        one(
            "可达（按服务）Reached, by service", 'min by (service) (xinxiang_engine_up{engine="kafka"})', "{{service}}"
        ),
        one(
            "已发布事实 Facts published",
            "sum by (service) (rate(xinxiang_facts_published_total[$__rate_interval])) or on() vector(0)",
            "{{service}}",
            unit="ops",
        ),
        one(
            "已处理消息 Messages consumed",
            "sum by (service) (rate(xinxiang_messages_total[$__rate_interval])) or on() vector(0)",
            "{{service}}",
            unit="ops",
        ),
        one(
            "积压（按消费组）Lag, by group",
            "service_group_topic:xinxiang_consumer_lag:sum",
            "{{group}} {{topic}}",
            width=12,
        ),
        one(
            "letters 各分区进度 Progress on letters",
            'sum by (group) (rate(xinxiang_consumer_position{topic="letters"}[$__rate_interval])) or on() vector(0)',
            "{{group}}",
            unit="ops",
            width=12,
        ),
        one(
            "重试 Retried",
            'sum by (service) (rate(xinxiang_messages_total{outcome="retried"}[$__rate_interval])) or on() vector(0)',
            "{{service}}",
            unit="ops",
            width=12,
        ),
        one(
            "最久未发 Oldest unsent",
            "max by (service) (xinxiang_outbox_oldest_seconds)",
            "{{service}}",
            unit="s",
            width=12,
        ),
        Row("数据库 Store"),
        one(
            "应答用时（95%）Sign of life, 95 %",
            'service_operation:xinxiang_store_seconds:p95_5m{operation="ping"}',
            "{{service}}",
            unit="s",
            limits=((0.5, "red"),),
        ),
        one(
            "读用时（95%）Read, 95 %",
            'service_operation:xinxiang_store_seconds:p95_5m{operation="read"}',
            "{{service}}",
            unit="s",
        ),
        one(
            "写用时（95%）Write, 95 %",
            'service_operation:xinxiang_store_seconds:p95_5m{operation="write"}',
            "{{service}}",
            unit="s",
        ),
        one(
            "操作次数 Operations",
            "sum by (operation) (service_operation:xinxiang_store:rate5m)",
            "{{operation}}",
            unit="ops",
            width=12,
        ),
        one(
            "可达（按服务）Reached, by service",
            'min by (service) (xinxiang_engine_up{engine="store"})',
            "{{service}}",
            width=12,
        ),
    ],
)
SLO = Dashboard(
    "xinxiang-slo",
    "服务目标 Service-level objectives",
    "accepted 受理 · delivered 1 秒内送达 · declared 60 秒内认定逾期 · pages 公开网页可用；deploy/prometheus/slo.yaml",
    [
        one("目标 Objectives", "slo:objective:ratio", "{{slo}}", unit="percentunit", kind="stat", width=12, height=5),
        one(
            "30 天误差预算余量 Error budget left of 30 days",
            "slo:error_budget_remaining:ratio",
            "{{slo}}",
            unit="percentunit",
            kind="stat",
            width=12,
            height=5,
        ),
        Row("消耗速度 Burn rates"),
        one(
            "1 小时 An hour", "slo:burn_rate:rate1h", "{{slo}}", width=12, limits=((14.4, "red"),), about="page at 14.4"
        ),
        one("6 小时 Six hours", "slo:burn_rate:rate6h", "{{slo}}", width=12, limits=((6, "red"),), about="page at 6"),
        one("1 天 A day", "slo:burn_rate:rate1d", "{{slo}}", width=12, limits=((3, "orange"),), about="ticket at 3"),
        one(
            "3 天 Three days", "slo:burn_rate:rate3d", "{{slo}}", width=12, limits=((1, "orange"),), about="ticket at 1"
        ),
        Row("失败比例 Part that failed"),
        one("5 分钟 Five minutes", "slo:error_ratio:rate5m", "{{slo}}", unit="percentunit", width=12),
        one("30 天 30 days", "slo:error_ratio:rate30d", "{{slo}}", unit="percentunit", width=12),
        one(
            "正在告警 Alerts that fire",
            'count by (alertname, severity) (ALERTS{alertstate="firing"}) or on() vector(0)',
            "{{alertname}}",
            kind="table",
            width=24,
        ),
    ],
)
