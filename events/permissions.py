"""Which role may do what on a NATS server with accounts, and how that is said to the server.

Each role has an account of its own. Across its border goes what is listed here and nothing else: requests as
imported services, live progress as imported streams. Users with permissions in one common account would not do: a
server checks what a user publishes, but not where the answer is to go. A worker could have its own outcome sent to
`evt.weights.7`, and the log would take that answer for an event. Behind the border it arrives in the worker's own
account, where no stream listens.

| role        | is                                                                                              |
|-------------|-------------------------------------------------------------------------------------------------|
| `operator`  | people and their commands: everything; the streams live in this account                         |
| `scheduler` | discovery, conductor, scoring, signing, anchoring, webhooks; creates the streams                |
| `worker`    | executors: take episode tasks, append outcomes and failed attempts, keep recordings and the     |
|             | tasks that they could not take                                                                  |
| `verifier`  | takes checks, appends what came out; dead letters likewise                                      |
| `projector` | reads the log                                                                                   |
| `api`       | reads the log and recordings, remembers signed requests, asks for live progress                 |

A request with a JSON body is allowed or refused whole: who may ask `STREAM.MSG.GET` for one event may ask for any,
and who may make a consumer of the log chooses what it delivers, and to which subject of another stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from events import live, subjects
from events.denials import API, LOCAL_API
from events.jetstream import UNAPPENDED
from events.stream_settings import DEAD_LETTERS, EVENTS, TASKS, TRACES, VERIFIERS, WORKERS

OPERATOR = "operator"
HOME = "KINITRO"
"""The operator's account, in which the streams are."""

REQUESTS = "KINITRO_REQUESTS"
"""The stream of signed requests, which the API keeps (`api/replays.py`)."""


@dataclass(frozen=True)
class Rights:
    """What a role may send into the operator's account, and what it tells and hears beside it."""

    sends: tuple[str, ...]
    """Subjects, of which each is answered once, if at all."""
    pulls: tuple[str, ...]
    """API calls that are answered by many messages."""
    tells: tuple[str, ...] = ()
    """Subjects over core NATS that other roles may hear: live progress, and that the log takes no appends."""
    hears: tuple[tuple[str, str], ...] = ()
    """Role and subject."""


def _api(*calls: str) -> tuple[str, ...]:
    return tuple(API + call for call in calls)


LIVE_WISHES, LIVE_STEPS = live.WISHES, "live.episode.>"
ATTEMPTS = "evt.cycle.*.attempt.>"

_LOOKS = _api(
    f"STREAM.INFO.{EVENTS}",
    f"STREAM.INFO.{TASKS}",
    f"STREAM.INFO.{DEAD_LETTERS}",
    f"STREAM.MSG.GET.{EVENTS}",
    f"CONSUMER.INFO.{TASKS}.{WORKERS}",
    f"CONSUMER.INFO.{TASKS}.{VERIFIERS}",
)
"""What every process looks at when it starts, and how an append that got no answer is resolved."""

_READS = _api(f"CONSUMER.CREATE.{EVENTS}.>", f"CONSUMER.DELETE.{EVENTS}.*")
_READS_BY = _api(f"CONSUMER.MSG.NEXT.{EVENTS}.*")


def _takes(durable: str, tasks: str) -> tuple[str, ...]:
    return (f"$JS.ACK.{TASKS}.{durable}.>", f"{subjects.DEAD}{tasks}", *_api(f"STREAM.MSG.GET.{DEAD_LETTERS}"))


ROLES: dict[str, Rights] = {
    "scheduler": Rights(
        sends=(
            "evt.miner.>",
            subjects.PLANS,
            "evt.cycle.*.metagraph",
            "evt.cycle.*.seed",
            "evt.cycle.*.slots",
            subjects.OUTCOMES,  # of episodes that nobody ran: forfeited, abandoned
            ATTEMPTS,
            subjects.VERIFICATIONS,  # of checks that came to no end in time
            subjects.SEALS,
            subjects.WEIGHTS,
            subjects.SIGNED,
            subjects.ANCHORS,
            subjects.IDENTITY,
            subjects.RULES,
            "evt.shadow.>",
            "evt.copies.*",
            subjects.DISCOVERY,
            "task.>",
            *_LOOKS,
            *_READS,
            *_api(
                *(f"STREAM.CREATE.{name}" for name in (EVENTS, TASKS, TRACES, REQUESTS, DEAD_LETTERS)),
                *(f"STREAM.INFO.{name}" for name in (TRACES, REQUESTS)),
                f"STREAM.PURGE.{TASKS}",
                f"STREAM.MSG.GET.{TASKS}",
                f"CONSUMER.CREATE.{TASKS}.>",
                f"CONSUMER.INFO.{EVENTS}.*",
            ),
            f"$JS.ACK.{EVENTS}.>",
        ),
        pulls=_READS_BY,
        tells=(UNAPPENDED,),
    ),
    "worker": Rights(
        sends=(
            subjects.OUTCOMES,
            ATTEMPTS,
            "trace.>",
            *_LOOKS,
            *_api(f"STREAM.INFO.{TRACES}"),
            *_takes(WORKERS, subjects.EPISODE_TASKS),
        ),
        pulls=_api(f"CONSUMER.MSG.NEXT.{TASKS}.{WORKERS}"),
        tells=(LIVE_STEPS, UNAPPENDED),
        hears=(("api", LIVE_WISHES),),
    ),
    "verifier": Rights(
        sends=(
            subjects.VERIFICATIONS,
            *_LOOKS,
            *_READS,
            *_api(f"STREAM.INFO.{TRACES}", f"STREAM.MSG.GET.{TRACES}"),
            *_takes(VERIFIERS, subjects.CHECK_TASKS),
        ),
        pulls=(*_READS_BY, *_api(f"CONSUMER.MSG.NEXT.{TASKS}.{VERIFIERS}")),
        tells=(UNAPPENDED,),
    ),
    "projector": Rights(sends=(*_LOOKS, *_READS), pulls=_READS_BY),
    "api": Rights(
        sends=(
            "request.>",
            *_LOOKS,
            *_READS,
            *_api(f"STREAM.INFO.{TRACES}", f"STREAM.MSG.GET.{TRACES}", f"STREAM.INFO.{REQUESTS}"),
        ),
        pulls=_READS_BY,
        tells=(LIVE_WISHES,),
        hears=(("worker", LIVE_STEPS), *((role, UNAPPENDED) for role in ("scheduler", "worker", "verifier"))),
    ),
}


def account(role: str) -> str:
    """The name of a role's account."""
    return HOME if role == OPERATOR else role.upper()


def password_variable(role: str) -> str:
    """The variable in the server's environment that holds the password of the role's user."""
    return f"KINITRO_NATS_{role.upper()}_PASSWORD"


def accounts() -> str:
    """The part of `nats.conf` that makes users and accounts; passwords come from the server's environment."""
    return "\n".join(["accounts {", *_home(), *(line for role in ROLES for line in _account(role)), "}", ""])


def _home() -> Iterable[str]:
    singles = {subject for rights in ROLES.values() for subject in rights.sends}
    many = {subject for rights in ROLES.values() for subject in rights.pulls}
    assert not singles & many
    yield f"  {HOME} {{"
    yield "    jetstream: enabled"
    yield f"    users: [{{user: {OPERATOR}, password: ${password_variable(OPERATOR)}}}]"
    yield "    exports: ["
    for subject in sorted(singles):
        who = _of(role for role, rights in ROLES.items() if subject in rights.sends)
        yield f"      {{service: {json.dumps(subject)}, accounts: [{who}]}}"
    for subject in sorted(many):
        who = _of(role for role, rights in ROLES.items() if subject in rights.pulls)
        yield f"      {{service: {json.dumps(subject)}, response: stream, accounts: [{who}]}}"
    yield "    ]"
    yield "  }"


def _account(role: str) -> Iterable[str]:
    rights = ROLES[role]
    sent = [*rights.sends, *rights.pulls]
    heard = dict.fromkeys(subject for _, subject in rights.hears)
    yield f"  {account(role)} {{"
    yield f"    mappings: {{{json.dumps(API + '>')}: {json.dumps(LOCAL_API + '>')}}}"
    yield "    users: [{"
    yield f"      user: {role}, password: ${password_variable(role)}"
    yield "      permissions: {"
    yield f"        publish: {_list([_local(subject) for subject in sent] + list(rights.tells))}"
    yield f"        subscribe: {_list(['_INBOX.>', *heard])}"
    yield "      }"
    yield "    }]"
    yield "    imports: ["
    for subject in sent:
        to = f", to: {json.dumps(_local(subject))}" if _local(subject) != subject else ""
        yield f"      {{service: {{account: {HOME}, subject: {json.dumps(subject)}}}{to}}}"
    for other, subject in rights.hears:
        yield f"      {{stream: {{account: {account(other)}, subject: {json.dumps(subject)}}}}}"
    yield "    ]"
    yield "    exports: ["
    for subject in rights.tells:
        who = _of(other for other, its in ROLES.items() if (role, subject) in its.hears)
        yield f"      {{stream: {json.dumps(subject)}, accounts: [{who}]}}"
    yield "    ]"
    yield "  }"


def _local(subject: str) -> str:
    return LOCAL_API + subject.removeprefix(API) if subject.startswith(API) else subject


def _of(roles: Iterable[str]) -> str:
    return ", ".join(map(account, roles))


def _list(names: Iterable[str]) -> str:
    return "[" + ", ".join(map(json.dumps, names)) + "]"
