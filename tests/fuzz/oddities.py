"""What nobody in their right mind sends: values, bodies, headers, queries, methods and addresses, each of which broke a server once."""

from typing import Any, Final

DEEP: Final = 30_000
VALUES: Final[tuple[Any, ...]] = (
    None,
    "",
    " ",
    "\x00",
    "路灯\x00坏了",
    "\ud800",
    "\u202e\u200b\ufeff",
    "𠮷" * 300,
    "长" * 6_000,
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "$where",
    "../../etc/passwd",
    "0001-01-01",
    "9999-12-31",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-12:00",
    "2026-02-30",
    "2026-W99",
    True,
    0,
    -1,
    1.5,
    10**18,
    10**30,
    float("inf"),
    [],
    {},
    [None],
    {"$gt": ""},
    [[[[[[[[]]]]]]]],
    ["x"] * 2_000,
)
"""In the place of a field's value."""

TEXTS: Final = tuple(value for value in VALUES if isinstance(value, str) and value and "\ud800" not in value)
"""In the place of a part of the path or of a query's value."""

BODIES: Final[tuple[bytes, ...]] = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"subject": "\xc3\x28"}',
    b'{"subject": "\x00"}',
    b'{"subject": "\\ud800"}',
    b'{"a": NaN}',
    b'{"a": 1e999999}',
    b'{"a": ' + b"9" * 5_000 + b"}",
    b"\xef\xbb\xbf{}",
    '{"a": "b"}'.encode("utf-16"),
    b"[" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"subject": "a", "subject": "b"}',
    b'{"text": "' + b"x" * 127 * 1024 + b'"}',
    b"x" * 200 * 1024,
    b"a=1&b=%ff&c=%",
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="\x00.png"\r\n\r\n\xff\r\n--x--\r\n',
)
"""In the place of a body, whatever its type is said to be."""

MEDIA_TYPES: Final = (
    "application/json",
    "application/json; charset=utf-7",
    "application/merge-patch+json",
    "text/plain",
    "text/html",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=" + "x" * 300,
    "nonsense",
    "",
)
"""Said of a body."""

HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("Range", "bytes=0-0"),
    ("Range", "bytes=99999999999999999999-"),
    ("Range", "bytes=" + ",".join("0-1" for _ in range(300))),
    ("If-Match", "garbage"),
    ("If-Match", '"999999999999999"'),
    ("If-Match", '"99999999999999999999999"'),
    ("If-Match", '"0"'),
    ("If-Match", "*"),
    ("If-Match", 'W/"1"'),
    ("If-None-Match", "*"),
    ("If-None-Match", '"a", W/"b", c'),
    ("If-Modified-Since", "yesterday"),
    ("Accept", "text/html"),
    ("Accept", "application/json"),
    ("Accept", "application/xml;q=0"),
    ("Accept", ";;;,,,=/=/"),
    ("Accept", "text/html" + ",a/b" * 2_000),
    ("Accept-Language", "zh-Hant;q=2, *;q=-1, ,,"),
    ("Accept-Language", "x" * 8_000),
    ("Accept-Encoding", "gzip;q=nan"),
    ("Authorization", "Bearer"),
    ("Authorization", "Bearer a.b.c"),
    ("Authorization", "Basic Og=="),
    ("Authorization", "Bearer \xff\xfe"),
    ("Cookie", "a=" + "b" * 30_000),
    ("Cookie", ";;==;\xff"),
    ("Content-Encoding", "gzip"),
    ("Expect", "200-ok"),
    ("Host", "evil.test"),
    ("Idempotency-Key", ""),
    ("Idempotency-Key", "x" * 5_000),
    ("Idempotency-Key", "\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9"),
    ("Origin", "null"),
    ("Sec-Fetch-Site", "cross-site"),
    ("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-zz"),
    ("traceparent", "\xff"),
    ("X-Forwarded-For", "999.1.1.1, ::gg, \xff"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-HTTP-Method-Override", "DELETE"),
)
"""Beside what belongs there."""

QUERIES: Final = (
    "%",
    "=&=&&==",
    "a=%ff%fe",
    "limit=%00",
    "limit=%EF%BC%91",
    "limit=-1&limit=1e3",
    "cursor=%00%ff",
    "cursor=" + "A" * 3_000,
    "from=9999-12-31&to=0001-01-01",
    "from=0001-01-01&to=9999-12-31",
    "mailbox[$ne]=x",
    "lang=%F0%28%8C%28",
    "&".join(f"a{number}=1" for number in range(2_000)),
)
"""Put behind the query that is there."""

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH")
"""In the place of the right one."""

PATHS: Final = (
    "//",
    "/%",
    "/%00",
    "/%ff/%fe",
    "/intake/letters/%2e%2e/%2e%2e/etc/passwd",
    "/static/../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/app.py",
    "/static/a%00.css",
    "/static/" + "a" * 5_000,
    "/static",
    "/public/letters/" + "%E4%BF%A1" * 500,
    "/public/letters/YZFX%0d%0aX-Evil:%201",
    "/" + "a" * 20_000,
    "/" + "a/" * 5_000,
    "/intake//letters",
    "/health/live/",
    "/metrics?%ff",
    "/docs?url=//evil.test",
    "/openapi.json?x=%00",
)
"""Where nothing is, or nothing for whoever asks so."""

RAW: Final[tuple[bytes, ...]] = (
    b"\r\n\r\n",
    b"GARBAGE\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /health/live HTTP/1.1\r\n\r\n",
    b"POST /intake/letters HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /intake/letters HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
    b"POST /intake/letters HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /intake/letters HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /intake/letters HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /intake/letters HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /public/ HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    b"GET /public/ HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 3_000 + b"\r\n",
    b"GET /public/?\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /public/letters/\xe4\xbf\xa1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)
"""Bytes on the wire that are no request, or hardly one."""
