"""Messages of routing: what it tells mailboxes, and what units' systems ask it to do."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any, Final

from aiokafka.errors import UnknownTopicOrPartitionError

from services.routing import domain
from services.routing.domain import Who, hidden_from
from services.routing.state import ON, Handoff, State
from shared.contracts import actions
from shared.contracts.catalogue import parse
from shared.contracts.envelope import BadEnvelope, Outgoing, event_id, pack
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import (
    Fact,
    HandoffCollected,
    HandoffSent,
    ProgressRecorded,
    ReplyApproved,
    ReplyDueSet,
    ReplyRefused,
    ReplyReminded,
    ReplySubmitted,
    UrgingSent,
)
from shared.contracts.mailbox import (
    ActionDone,
    ActionRefused,
    AssignmentArrived,
    DueSet,
    MailboxMessage,
    ReminderArrived,
    ReplyArrived,
    UrgingArrived,
)
from shared.contracts.types import Actor
from shared.directory import Directory
from shared.messaging.broker import Record
from shared.messaging.letters import Letters, Step, Telling
from shared.messaging.parking import Message, explain, read, strays
from shared.messaging.patience import patiently
from shared.observability import metrics
