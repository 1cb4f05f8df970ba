"""The duty office's dashboard: letters, limits, what is overdue (R1.4)."""

from deploy.dashboards.model import Dashboard, Row, Variable
from deploy.dashboards.parts import BAD, number, one

MAILBOX = Variable("mailbox", "信箱 Mailbox", "xinxiang_mailbox_clocks")
KINDS = "阅读 reading、拟办 disposition、承办 reply、重办 redo、批示 instruction"

OFFICE = Dashboard(
    "xinxiang-office",
    "值班室：来信 Duty office: letters",
    "R1.4：各信箱的来信、时限与逾期 / every mailbox's letters, limits and what is overdue. Live lists: GET /deadline/mailboxes",
    [
        number(
            "逾期未阅 Unread too long",
            'sum(max by (mailbox) (xinxiang_mailbox_overdue{kind="reading",mailbox=~"$mailbox"}))',
            limits=BAD,
            about="R3.1",
        ),
        number(
            "逾期未拟办 Not disposed of",
            'sum(max by (mailbox) (xinxiang_mailbox_overdue{kind="disposition",mailbox=~"$mailbox"}))',
            limits=BAD,
            about="R1.4",
        ),
        number(
            "逾期未回复 Replies overdue",
            'sum(max by (mailbox, kind) (xinxiang_mailbox_overdue{kind=~"reply|redo",mailbox=~"$mailbox"}))',
            limits=BAD,
            about="R6.1, R7.1",
        ),
        number(
            "批示逾期 Instructions overdue",
            'sum(max by (mailbox) (xinxiang_mailbox_overdue{kind="instruction",mailbox=~"$mailbox"}))',
            limits=BAD,
            about="R8.1",
        ),
        number(
            "即将到期 Due soon",
            'sum(max by (mailbox) (xinxiang_mailbox_due_soon{mailbox=~"$mailbox"}))',
            limits=((50, "orange"),),
        ),
        number(
            "最久等待 Oldest waits",
            'max(xinxiang_mailbox_oldest_seconds{mailbox=~"$mailbox"})',
            unit="s",
            limits=((30 * 86400, "orange"), (60 * 86400, "red")),
        ),
        Row("在办 Work in hand"),
        one(
            "在办（按时限种类）Running clocks, by kind",
            'sum by (kind) (mailbox_kind:xinxiang_mailbox_clocks:max{mailbox=~"$mailbox"})',
            "{{kind}}",
            width=12,
            about=KINDS,
        ),
        one(
            "逾期（按时限种类）Overdue, by kind",
            'sum by (kind) (mailbox_kind:xinxiang_mailbox_overdue:max{mailbox=~"$mailbox"})',
            "{{kind}}",
            width=12,
            about=KINDS,
        ),
        one(
            "逾期最多的信箱 Mailboxes with most overdue",
            'topk(15, sum by (mailbox) (mailbox_kind:xinxiang_mailbox_overdue:max{mailbox=~"$mailbox"}))',
            "{{mailbox}}",
            kind="bargauge",
            width=8,
            height=9,
            limits=BAD,
        ),
        one(
            "在办最多的信箱 Mailboxes with most in hand",
            'topk(15, sum by (mailbox) (mailbox_kind:xinxiang_mailbox_clocks:max{mailbox=~"$mailbox"}))',
            "{{mailbox}}",
            kind="bargauge",
            width=8,
            height=9,
        ),
        one(
            "最久等待的信箱 Where a letter waits longest",
            'topk(15, max by (mailbox) (xinxiang_mailbox_oldest_seconds{mailbox=~"$mailbox"}))',
            "{{mailbox}}",
            unit="s",
            kind="bargauge",
            width=8,
            height=9,
        ),
        Row("流程 On their way"),
        one(
            "办理环节 Letters by stage",
            "sum by (service, state) (max by (service, state) (xinxiang_letters))",
            "{{service}} {{state}}",
            width=12,
        ),
        one(
            "提醒、逾期、催办 Reminders, overdue, urging",
            "sum by (kind) (increase(xinxiang_clocks_fired_total[1h])) or on() vector(0)",
            "{{kind}}",
            width=12,
            about="R6.1, R7.1: in an hour",
        ),
        one(
            "本周数字 This week, mayor's mailbox",
            "max by (figure) (xinxiang_week_figure)",
            "{{figure}}",
            kind="table",
            width=12,
            height=9,
            about="R10.4",
        ),
        one("每分钟来信 Letters a minute", "60 * xinxiang:letters_accepted:rate5m", "来信 letters", width=6, height=9),
        one(
            "送达用时（99%）Time to mailbox, 99 %",
            "xinxiang:delivery_seconds:p99_5m",
            "p99",
            unit="s",
            width=6,
            height=9,
            limits=((1, "red"),),
        ),
        number(
            "工作周报已迟 Bulletin late",
            "max(xinxiang_bulletin_missing_seconds)",
            unit="s",
            width=6,
            limits=((86400, "red"),),
            about="R11.2",
        ),
        number("待处理消息 Messages parked", "sum(max by (service) (xinxiang_parked_letters))", width=6, limits=BAD),
        number("受阻来信 Letters waiting", "sum(max by (service) (xinxiang_waiting_letters))", width=6, limits=BAD),
        number(
            "值班室告警 Alerts for the office",
            'count(ALERTS{alertstate="firing",severity="office"}) or on() vector(0)',
            width=6,
            limits=BAD,
        ),
    ],
    [MAILBOX],
)
