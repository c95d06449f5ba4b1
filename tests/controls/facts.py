"""Examples of every event."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from events.anchors import RootAnchored
from events.copies import CopiesFound, Copy, CopyKind
from events.cycles import (
    CycleAbandoned,
    CycleAbandonReason,
    CyclePlanned,
    CycleSealed,
    CycleSeeded,
    EpisodeTerms,
    OutcomeCounts,
    RosterEntry,
)
from events.discovery import DegradedCode, DiscoveryDegraded, DiscoveryRestored
from events.episodes import (
    AbandonCode,
    ActLatency,
    EpisodeAbandoned,
    EpisodeAttemptFailed,
    EpisodeCompleted,
    EpisodeForfeited,
    Evidence,
    FailureCode,
    ForfeitCode,
)
from events.event import Event
from events.ids import CycleId, EnvId, EpisodeKey, Hotkey, Seed, Uid
from events.metagraph import ChainTerms, MetagraphRecorded, RecordedNeuron, SlotsChecked
from events.miners import (
    Commitment,
    CommitmentRejection,
    MinerCommitmentChanged,
    MinerCommitmentRejected,
    MinerDeparted,
    MinerDiscovered,
)
from events.rule_changes import RulesAnnounced, ShadowScored
from events.rules import ScoringRules
from events.sealed import EndpointKey, seal
from events.signed import KeyAnnounced, RootSigned, Signature, WeightsSigned
from events.tasks import CheckTask, EpisodeTask, ProbeTask
from events.variation import NO_VARIATION, variation_digest
from events.verification import (
    CheckedSample,
    Committed,
    ComparedActions,
    Evaluated,
    FailureReason,
    InconclusiveReason,
    Measure,
    Method,
    Mismatch,
    OnFailure,
    Suspension,
    VerificationFailed,
    VerificationInconclusive,
    VerificationPassed,
    VerificationTerms,
    WeightFile,
)
from events.weights import (
    EnvironmentTally,
    MinerStanding,
    WeightsComputed,
    WeightsU16,
    WeightsWithheld,
    WithheldReason,
)

REACH = EnvId("metaworld/reach-v3")
PUSH = EnvId("metaworld/push-v3")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SECRET = bytes(range(32))
ENDPOINT_KEY = EndpointKey(bytes(range(64, 96)))
TERMS = EpisodeTerms(
    observation_profile="state/1",
    steps_max=500,
    act_deadline_ms=100,
    reset_deadline_ms=5000,
    attempts_max=3,
    forfeits_in_row_max=None,
    variation=NO_VARIATION,
)


def hotkey(uid: int) -> Hotkey:
    return Hotkey(f"hotkey-{uid}")


def commitment(uid: int = 0, *, block: int = 10, revision: str = "0123abcd", endpoint: str | None = "") -> Commitment:
    url = f"http://127.0.0.1:{9000 + uid}" if endpoint == "" else endpoint
    return Commitment(repo=f"user/policy-{uid}", revision=revision, endpoint=url, block=block)


def sealed_commitment(deployment: UUID, uid: int = 0, *, key: EndpointKey = ENDPOINT_KEY) -> Commitment:
    return commitment(uid, endpoint=None).model_copy(update={"sealed_endpoint": seal(deployment, key.public)})


def discovered(uid: int = 0, *, ordinal: int = 1, block: int = 20) -> MinerDiscovered:
    return MinerDiscovered(hotkey=hotkey(uid), ordinal=ordinal, uid=Uid(uid), block=block, commitment=commitment(uid))


def commitment_changed(uid: int = 0, *, ordinal: int = 2, block: int = 30) -> MinerCommitmentChanged:
    return MinerCommitmentChanged(
        hotkey=hotkey(uid),
        ordinal=ordinal,
        uid=Uid(uid),
        block=block,
        commitment=commitment(uid, block=block, revision="4567cdef"),
    )


def commitment_rejected(uid: int = 0, *, ordinal: int = 2, block: int = 35) -> MinerCommitmentRejected:
    return MinerCommitmentRejected(
        hotkey=hotkey(uid),
        ordinal=ordinal,
        uid=Uid(uid),
        block=block,
        committed_block=block,
        code=CommitmentRejection.MALFORMED,
        detail="the commitment has 1 of 3 parts; commit user/repo:revision:deployment",
        digest=hashlib.sha256(f"no commitment {block}".encode()).hexdigest(),
    )


def departed(uid: int = 0, *, ordinal: int = 2, block: int = 40) -> MinerDeparted:
    return MinerDeparted(hotkey=hotkey(uid), ordinal=ordinal, uid=Uid(uid), block=block)


def planned(
    cycle: int = 1,
    *,
    uids: tuple[int, ...] = (0, 1),
    environments: tuple[EnvId, ...] = (REACH, PUSH),
    episodes: int = 2,
    block: int = 50,
    terms: EpisodeTerms = TERMS,
    rules: ScoringRules | None = None,
    chain: ChainTerms | None = None,
    verification: VerificationTerms | None = None,
) -> CyclePlanned:
    return CyclePlanned(
        cycle=CycleId(cycle),
        block=block,
        chain=chain,
        roster=tuple(
            RosterEntry(uid=Uid(uid), hotkey=hotkey(uid), commitment=commitment(uid, block=10 + uid)) for uid in uids
        ),
        environments=environments,
        episodes_per_environment=episodes,
        terms=terms,
        rules=rules or ScoringRules(),
        verification=verification,
        deadline_s=3600,
        versions={"mujoco": "3.3.0", "metaworld": "3.1.1"},
        secret_commitment=hashlib.sha256(SECRET).hexdigest(),
    )


def chain_terms() -> ChainTerms:
    names = ("genesis", "plan's block")
    genesis, block_hash = (hashlib.sha256(name.encode()).hexdigest() for name in names)
    return ChainTerms(genesis=genesis, netuid=7, block_hash=block_hash)


def metagraph_recorded(cycle: int = 1, *, uids: tuple[int, ...] = (0, 1), block: int = 50) -> MetagraphRecorded:
    chain = chain_terms()
    neurons = (
        RecordedNeuron(
            uid=Uid(uid), hotkey=hotkey(uid), coldkey=f"coldkey-{uid}", stake_rao=10**9 + uid, registered_at_block=5
        )
        for uid in uids
    )
    return MetagraphRecorded(
        cycle=CycleId(cycle), netuid=chain.netuid, block=block, block_hash=chain.block_hash, neurons=tuple(neurons)
    )


def slots_checked(cycle: int = 1, *, moved: tuple[int, ...] = (0,), block: int = 70) -> SlotsChecked:
    return SlotsChecked(
        cycle=CycleId(cycle),
        netuid=chain_terms().netuid,
        block=block,
        block_hash=hashlib.sha256(b"block of the slots").hexdigest(),
        moved=tuple(map(Uid, moved)),
    )


def verification_terms(
    *, suspended: dict[int, int] | None = None, rate: str = "0.05", on_failure: OnFailure = OnFailure.NO_WEIGHT
) -> VerificationTerms:
    """`suspended`: uid -> the cycle in which it failed."""
    return VerificationTerms(
        rate=Decimal(rate),
        tolerance=Decimal("0.001"),
        measure=Measure.BY_CHANNEL,
        samples=2,
        on_failure=on_failure,
        within_s=900,
        suspended=tuple(
            Suspension(uid=Uid(uid), failed_in=CycleId(cycle)) for uid, cycle in sorted((suspended or {}).items())
        ),
    )


def committed_files(uid: int = 0) -> Committed:
    name = f"weights of {uid}".encode()
    weights = WeightFile(name="model.safetensors", size=123_456, sha256=hashlib.sha256(name).hexdigest())
    return Committed(commit=f"0123abcd{hashlib.sha1(name).hexdigest()[8:]}", files=(weights,))


def compared(*, passed: bool = True) -> ComparedActions:
    committed = (0.1, 0.25, -0.5, 0.0, 0.0, 0.0, 1.0)
    served = committed if passed else (0.1, 0.25, -0.75, 0.0, 0.0, 0.0, 1.0)
    sample = CheckedSample(
        uid=Uid(0),
        env=REACH,
        index=1,
        step=17,
        committed=(committed, committed),
        served=(served,),
        error=0.0 if passed else 0.25,
        score=1.0 if passed else 0.004,
        mismatch=None if passed else Mismatch.BEYOND_TOLERANCE,
        evaluated=Evaluated(
            given=(0.1, 0.25, -0.5, 1.0),
            committed=(0.1, 0.25, -0.5, 1.0),
            alone=committed,
            after_others=committed,
            elsewhere=(committed, (0.0, 0.25, -0.5, 0.0, 0.0, 0.0, 1.0)),
            error=0.0,
            undecided=None,
        ),
    )
    return ComparedActions(
        method=Method.BY_VALUE,
        seeded=False,
        score=sample.score,
        p_value=None,
        false_alarm_rate=None,
        samples=(sample,),
    )


def verification_passed(cycle: int = 1, uid: int = 0) -> VerificationPassed:
    return VerificationPassed(
        cycle=CycleId(cycle),
        uid=Uid(uid),
        hotkey=hotkey(uid),
        repo=f"user/policy-{uid}",
        revision="0123abcd",
        duration_s=4.25,
        verifier="verifier-1",
        committed=committed_files(uid),
        sandbox="namespaces",
        compared=compared(),
    )


def verification_failed(
    cycle: int = 1, uid: int = 0, *, reason: FailureReason = FailureReason.ACTIONS_DIFFER
) -> VerificationFailed:
    differ, is_fetched = reason is FailureReason.ACTIONS_DIFFER, reason is not FailureReason.REPOSITORY_REFUSED
    return VerificationFailed(
        cycle=CycleId(cycle),
        uid=Uid(uid),
        hotkey=hotkey(uid),
        repo=f"user/policy-{uid}",
        revision="0123abcd",
        duration_s=4.25,
        verifier="verifier-1",
        reason=reason,
        detail="1 of 1 actions differ by more than 0.001; serve the code that you committed",
        committed=committed_files(uid) if is_fetched else None,
        sandbox="namespaces" if is_fetched else None,
        compared=compared(passed=False) if differ else None,
    )


def verification_inconclusive(
    cycle: int = 1, uid: int = 0, *, reason: InconclusiveReason = InconclusiveReason.NO_SANDBOX
) -> VerificationInconclusive:
    return VerificationInconclusive(
        cycle=CycleId(cycle),
        uid=Uid(uid),
        hotkey=hotkey(uid),
        repo=f"user/policy-{uid}",
        revision="0123abcd",
        duration_s=0.5,
        verifier="verifier-1",
        reason=reason,
        detail="kernel sandboxes need Linux: run the verification on Linux",
        committed=None,
    )


def copies_found(cycle: int = 1) -> CopiesFound:
    digest = hashlib.sha256(b"weights of 0").hexdigest()
    by_files = Copy(
        uid=Uid(1),
        hotkey=hotkey(1),
        of_hotkey=hotkey(0),
        kind=CopyKind.FILES,
        files=(digest,),
        seen_in=CycleId(cycle),
        episodes=0,
    )
    by_actions = by_files.model_copy(update={"kind": CopyKind.ACTIONS, "files": (), "episodes": 4})
    return CopiesFound(cycle=CycleId(cycle), copies=(by_files, by_actions))


def check_task(cycle: int = 1, uid: int = 0) -> CheckTask:
    probe = ProbeTask(
        uid=Uid(uid),
        env=REACH,
        index=1,
        seed=Seed(2**64 - 1),
        attempt=1,
        action_digest=hashlib.sha256(b"actions").hexdigest(),
        step=17,
        versions={"mujoco": "3.3.0", "metaworld": "3.1.1"},
        machine="x86_64 with avx2, fma",
    )
    return CheckTask(
        cycle=CycleId(cycle),
        uid=Uid(uid),
        hotkey=hotkey(uid),
        endpoint=f"http://127.0.0.1:{9000 + uid}",
        witnesses=(f"http://127.0.0.1:{9001 + uid}",),
        repo=f"user/policy-{uid}",
        revision="0123abcd",
        environments=(REACH, PUSH),
        probes=(probe,),
        samples=1,
        tolerance=Decimal("0.001"),
        measure=Measure.BY_CHANNEL,
        seed=2**64 - 1,
        terms=TERMS,
        within_s=900.0,
        cause="id-of-the-seed",
        correlation="id-of-the-plan",
    )


def degraded(ordinal: int = 1) -> DiscoveryDegraded:
    detail = "chain node ws://127.0.0.1:9944 cannot be reached: refused; check the endpoint, or name another one too"
    return DiscoveryDegraded(ordinal=ordinal, code=DegradedCode.NO_CONNECTION, detail=detail)


def restored(ordinal: int = 2, *, block: int = 60) -> DiscoveryRestored:
    return DiscoveryRestored(ordinal=ordinal, block=block)


def seeded(cycle: int = 1, *, block: int = 51) -> CycleSeeded:
    return CycleSeeded(cycle=CycleId(cycle), block=block, block_hash=hashlib.sha256(b"block").hexdigest())


def key(cycle: int = 1, uid: int = 0, env: EnvId = REACH, index: int = 0) -> EpisodeKey:
    return EpisodeKey(CycleId(cycle), Uid(uid), env, index)


def task(episode: EpisodeKey | None = None) -> EpisodeTask:
    it = episode or key()
    return EpisodeTask(
        cycle=it.cycle,
        uid=it.uid,
        hotkey=hotkey(it.uid),
        env=it.env,
        index=it.index,
        seed=Seed(2**64 - 1),
        endpoint=f"http://127.0.0.1:{9000 + it.uid}",
        terms=TERMS,
        cause="id-of-the-seed",
        correlation="id-of-the-plan",
    )


def evidence(episode: EpisodeKey) -> Evidence:
    return Evidence(
        action_digest=hashlib.sha256(f"actions {episode.id}".encode()).hexdigest(),
        final_state_digest=hashlib.sha256(f"state {episode.id}".encode()).hexdigest(),
        variation_digest=variation_digest({"goal_x_m": 0.05, "goal_y_m": 0.85, "goal_z_m": 0.2}),
        versions={"mujoco": "3.3.0", "metaworld": "3.1.1"},
        machine="x86_64 with avx2, fma",
    )


def completed(episode: EpisodeKey | None = None, *, success: bool = True, attempt: int = 1) -> EpisodeCompleted:
    it = episode or key()
    return EpisodeCompleted(
        cycle=it.cycle,
        uid=it.uid,
        hotkey=hotkey(it.uid),
        env=it.env,
        index=it.index,
        attempt=attempt,
        success=success,
        total_reward=123.456 if success else 7.25,
        steps=80 if success else 500,
        terminated=success,
        truncated=not success,
        evidence=evidence(it),
        latency=ActLatency(calls=80, p50_ms=1.5, max_ms=9.25),
        duration_s=0.75,
        worker="worker-1",
    )


def forfeited(
    episode: EpisodeKey | None = None, *, code: ForfeitCode = ForfeitCode.DEADLINE_MISSED, attempt: int = 1
) -> EpisodeForfeited:
    it = episode or key()
    return EpisodeForfeited(
        cycle=it.cycle,
        uid=it.uid,
        hotkey=hotkey(it.uid),
        env=it.env,
        index=it.index,
        attempt=attempt,
        code=code,
        detail="POST /act took longer than 100 ms at step 12; answer within the deadline",
        steps=12,
        evidence=evidence(it),
        latency=ActLatency(calls=12, p50_ms=40.0, max_ms=100.5),
        duration_s=0.5,
        worker="worker-1",
    )


def attempt_failed(
    episode: EpisodeKey | None = None, *, attempt: int = 1, code: FailureCode = FailureCode.WORKER_LOST
) -> EpisodeAttemptFailed:
    it = episode or key()
    return EpisodeAttemptFailed(
        cycle=it.cycle,
        uid=it.uid,
        hotkey=hotkey(it.uid),
        env=it.env,
        index=it.index,
        attempt=attempt,
        code=code,
        detail="the lease of worker-1 ran out",
        worker="worker-2",
    )


def abandoned(episode: EpisodeKey | None = None) -> EpisodeAbandoned:
    it = episode or key()
    return EpisodeAbandoned(
        cycle=it.cycle,
        uid=it.uid,
        hotkey=hotkey(it.uid),
        env=it.env,
        index=it.index,
        attempts=3,
        code=AbandonCode.ATTEMPTS_EXHAUSTED,
        detail="3 attempts failed",
    )


def sealed(cycle: int = 1, *, last_sequence: int = 12) -> CycleSealed:
    return CycleSealed(
        cycle=CycleId(cycle),
        outcomes=OutcomeCounts(completed=8, forfeited=0, abandoned=0),
        first_sequence=1,
        last_sequence=last_sequence,
        tree_size=10,
        merkle_root=hashlib.sha256(b"root").hexdigest(),
        secret=SECRET.hex(),
    )


def cycle_abandoned(cycle: int = 1) -> CycleAbandoned:
    return CycleAbandoned(
        cycle=CycleId(cycle),
        reason=CycleAbandonReason.COVERAGE,
        detail="2 of 8 episodes could be counted, the rules ask for 0.5",
        outcomes=OutcomeCounts(completed=2, forfeited=0, abandoned=6),
        secret=SECRET.hex(),
    )


def standing(uid: int = 0, *, successful: int = 2, points: int = 4, weight: str = "0.9") -> MinerStanding:
    tally = EnvironmentTally(completed=2, successful=successful, forfeited=0, abandoned=0)
    return MinerStanding(
        uid=Uid(uid),
        hotkey=hotkey(uid),
        tallies={REACH: tally, PUSH: tally},
        on_frontier=points > 0,
        points=str(points),
        weight=weight,
    )


def weights_computed(cycle: int = 1) -> WeightsComputed:
    return WeightsComputed(
        cycle=CycleId(cycle),
        block=50,
        merkle_root=hashlib.sha256(b"root").hexdigest(),
        epsilons={REACH: str(Decimal("0.2")), PUSH: "0.01"},
        standings=(standing(0), standing(1, successful=0, points=0, weight="0.1")),
        weights_u16=WeightsU16(uids=(Uid(0), Uid(1)), values=(58982, 6553)),
    )


def weights_withheld(cycle: int = 1) -> WeightsWithheld:
    return WeightsWithheld(
        cycle=CycleId(cycle),
        block=50,
        reason=WithheldReason.NO_POINTS,
        detail="no miner won any subset of environments",
        epsilons={REACH: "0.01", PUSH: "0.01"},
        standings=(standing(0, successful=0, points=0, weight="0"),),
    )


def one_of_each() -> list[Event]:
    return [
        discovered(),
        commitment_changed(),
        commitment_rejected(ordinal=3),
        departed(ordinal=4),
        planned(),
        metagraph_recorded(),
        seeded(),
        verification_passed(),
        verification_failed(uid=1),
        verification_inconclusive(uid=2),
        slots_checked(),
        completed(key(index=0)),
        forfeited(key(index=1)),
        attempt_failed(key(env=PUSH)),
        abandoned(key(env=PUSH)),
        sealed(),
        cycle_abandoned(2),
        weights_computed(),
        weights_withheld(2),
        root_signed(),
        weights_signed(),
        root_anchored(),
        key_announced(),
        rules_announced(),
        shadow_scored(),
        copies_found(),
        degraded(),
        restored(),
    ]


def signature() -> Signature:
    return Signature(key=hotkey(9), signature="ab" * 64)


def root_signed(cycle: int = 1) -> RootSigned:
    statement = f'{{"cycle":{cycle},"kind":"kinitro/root/1"}}'
    return RootSigned(cycle=CycleId(cycle), statement=statement, signature=signature())


def root_anchored(cycle: int = 1) -> RootAnchored:
    return RootAnchored(
        cycle=CycleId(cycle),
        history_root="cd" * 32,
        genesis="01" * 32,
        netuid=7,
        hotkey=hotkey(9),
        block=1_000,
        block_hash="02" * 32,
    )


def weights_signed(cycle: int = 1) -> WeightsSigned:
    statement = f'{{"cycle":{cycle},"kind":"kinitro/weights/1"}}'
    return WeightsSigned(cycle=CycleId(cycle), statement=statement, signature=signature())


def key_announced(ordinal: int = 1) -> KeyAnnounced:
    statement = f'{{"kind":"kinitro/key/1","ordinal":{ordinal}}}'
    return KeyAnnounced(ordinal=ordinal, statement=statement, signature=signature(), previous=None)


def rules_announced(cycle: int = 3, *, rules: ScoringRules | None = None) -> RulesAnnounced:
    warmer = ScoringRules(temperature=Decimal("2.0"))
    return RulesAnnounced(cycle=CycleId(cycle), rules=rules or warmer, note="warmer")


def shadow_scored(cycle: int = 1, rules_from: int = 3) -> ShadowScored:
    computed = weights_computed(cycle)
    return ShadowScored(
        cycle=CycleId(cycle),
        rules_from_cycle=CycleId(rules_from),
        epsilons=computed.epsilons,
        standings=computed.standings,
        weights_u16=computed.weights_u16,
        withheld=None,
    )


def whole_cycle(cycle: int = 1) -> list[Event]:
    """Two miners on two environments, two episodes each: uid 0 succeeds always, uid 1 never."""
    plan = planned(cycle)
    outcomes = [
        completed(EpisodeKey(plan.cycle, entry.uid, env, index), success=entry.uid == 0)
        for index in range(plan.episodes_per_environment)
        for env in plan.environments
        for entry in plan.roster
    ]
    return [plan, seeded(cycle), *outcomes, sealed(cycle), weights_computed(cycle)]
