"""Kafka's users and rights, asked and changed over Kafka's protocol: what aiokafka's admin client does not offer.

Passwords never leave this process: the broker gets a SCRAM verifier.
"""

# mypy: disable-error-code="misc"
# aiokafka has no types: its classes are Any to mypy, and ours are made of them

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest_v1
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields

from deploy.acl_rights import Right

ITERATIONS = 8_192
CHUNK = 500
_SHA_512 = 2
_ANY, _LITERAL, _PREFIXED = 1, 3, 4
_ALLOW = 3
_NOT_FOUND = 91
"""RESOURCE_NOT_FOUND: there is no such user."""
_TEXT, _TAGS = CompactString("utf-8"), ("tags", TaggedFields)
_PRINCIPAL = "User:"


class Refused(Exception):
    """The broker does not do what was asked."""


class _UsersAnswer(Response):
    API_KEY = 50
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", _TEXT),
        (
            "results",
            CompactArray(
                ("user", _TEXT),
                ("error_code", Int16),
                ("error_message", _TEXT),
                ("credentials", CompactArray(("mechanism", Int8), ("iterations", Int32), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _UsersAsked(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 50
    API_VERSION = 0
    RESPONSE_TYPE = _UsersAnswer
    SCHEMA = Schema(("users", CompactArray(("name", _TEXT), _TAGS)), _TAGS)


class _AlterAnswer(Response):
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", CompactArray(("user", _TEXT), ("error_code", Int16), ("error_message", _TEXT), _TAGS)),
        _TAGS,
    )


class _AlterAsked(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _AlterAnswer
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", _TEXT), ("mechanism", Int8), _TAGS)),
        (
            "upsertions",
            CompactArray(
                ("name", _TEXT),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _Users(Request[_UsersAsked]):
    API_KEY = 50

    def build(self, request_struct_class: type[_UsersAsked]) -> _UsersAsked:
        # No name means all. Null means the same, but then Kafka 4.1.1 does not answer those whom it refuses.
        return request_struct_class([], {})


class _Alter(Request[_AlterAsked]):
    API_KEY = 51

    def __init__(self, deletions: Sequence[Any], upsertions: Sequence[Any]) -> None:
        self._what: tuple[Any, ...] = (list(deletions), list(upsertions), {})

    def build(self, request_struct_class: type[_AlterAsked]) -> _AlterAsked:
        return request_struct_class(*self._what)


class _Rights(Request[DescribeAclsRequest_v1]):
    API_KEY = 29

    def build(self, request_struct_class: type[DescribeAclsRequest_v1]) -> DescribeAclsRequest_v1:
        return request_struct_class(_ANY, None, _ANY, None, None, _ANY, _ANY)


class _Give(Request[CreateAclsRequest_v1]):
    API_KEY = 30

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = list(rows)

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(self._rows)


class _Take(Request[DeleteAclsRequest_v1]):
    API_KEY = 31

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = list(rows)

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> DeleteAclsRequest_v1:
        return request_struct_class(self._rows)


class Authority:
    """The broker's users and rights, as seen by a super user.

    Raises:
        Refused: the broker does not do what was asked, with its reason.
        KafkaError: it does not answer.
    """

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin: Any = admin

    async def users(self) -> set[str]:
        """Return the names of all users with SCRAM-SHA-512."""
        answer = await self._ask(_Users())
        if answer.error_code == _NOT_FOUND:
            return set()
        _refuse(answer.error_code, answer.error_message)
        return {user for user, _, _, credentials, _ in answer.results if any(c[0] == _SHA_512 for c in credentials)}

    async def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Make users, or change their passwords; connections that are open stay so."""
        rows: list[Any] = []
        for user, password in passwords.items():
            salt = secrets.token_bytes(24)
            salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
            rows.append((user, _SHA_512, ITERATIONS, salt, salted, {}))
        await self._alter([], rows)

    async def forget(self, users: Iterable[str]) -> None:
        """Take users' passwords away."""
        await self._alter([(user, _SHA_512, {}) for user in users], [])

    async def rights(self) -> set[Right]:
        """Return all rights that anybody has, from anywhere."""
        answer = await self._ask(_Rights())
        _refuse(answer.error_code, answer.error_message)
        return {
            Right(principal.removeprefix(_PRINCIPAL), resource, name, pattern == _PREFIXED, operation)
            for resource, name, pattern, acls in answer.resources
            for principal, _host, operation, permission in acls
            if permission == _ALLOW
        }

    async def give(self, rights: Iterable[Right]) -> None:
        """Give rights."""
        for rows in _chunks(rights):
            answer = await self._ask(_Give(rows))
            for code, said in answer.creation_responses:
                _refuse(code, said)

    async def take(self, rights: Iterable[Right]) -> None:
        """Take rights away; they end at once, on connections that are open too."""
        for rows in _chunks(rights):
            answer = await self._ask(_Take(rows))
            for code, said, _ in answer.filter_responses:
                _refuse(code, said)

    async def _alter(self, deletions: Sequence[Any], upsertions: Sequence[Any]) -> None:
        if not deletions and not upsertions:
            return
        answer = await self._ask(_Alter(deletions, upsertions))
        for user, code, said, _ in answer.results:
            _refuse(code, f"{user}: {said or ''}")

    async def _ask(self, request: Any) -> Any:
        return await self._admin._send_to_controller(request)  # noqa: SLF001 - the client has no public call for it


def _chunks(rights: Iterable[Right]) -> Iterable[list[tuple[Any, ...]]]:
    rows = [
        (
            right.resource,
            right.name,
            _PREFIXED if right.prefixed else _LITERAL,
            _PRINCIPAL + right.user,
            "*",
            right.operation,
            _ALLOW,
        )
        for right in sorted(rights)
    ]
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def _refuse(code: int, said: str | None) -> None:
    if code:
        raise Refused(f"{for_code(code).__name__} {said or ''}".strip())
