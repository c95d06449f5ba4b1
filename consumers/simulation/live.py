"""Tells of running episodes while somebody asks (`events.live`). While nobody does, a step costs one comparison."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from PIL import Image

from events import frames, live
from events.connection import Connection, NoAnswer
from events.live import Detail, Frame, Step
from events.tasks import EpisodeTask
from sim.environment import StepResult
from sim.rl_interface import Observation

STEP_S, FRAME_S = 0.1, 0.5
"""Between two messages of an episode, and between two pictures in them."""
WISHES_MAX = 1_000
WAITING_MAX = 256
"""Messages that wait to be sent; more are dropped."""


class LiveEpisodes:
    """Knows which episodes somebody looks at, and sends what is told of them."""

    def __init__(self, worker: str, detail: Detail, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """`detail`: how much may be told, at most."""
        self.worker, self.detail = worker, detail
        self.monotonic_s = monotonic_s
        self.wishes: dict[str, tuple[float, bool]] = {}
        """By episode id: until when it is wanted (monotonic), and whether with pictures."""
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(WAITING_MAX)

    def of(self, task: EpisodeTask) -> LiveEpisode:
        return LiveEpisode(self, task)

    def wants(self, episode: str) -> tuple[bool, bool]:
        """Whether somebody looks at this episode, and whether at pictures."""
        until_s, with_frames = self.wishes.get(episode, (0.0, False))
        if until_s > self.monotonic_s():
            return True, with_frames
        self.wishes.pop(episode, None)
        return False, False

    def tell(self, subject: str, step: Step) -> None:
        """Sends it as soon as possible, or never."""
        if not self._waiting.full():
            self._waiting.put_nowait((subject, step.model_dump_json(exclude_none=True).encode()))

    @asynccontextmanager
    async def listening(self, connection: Connection) -> AsyncIterator[None]:
        """Hears wishes, and sends, for as long as this is open."""
        subscription = await connection.client.subscribe_directly(live.WISHES, self._wish)
        sending = asyncio.create_task(self._send(connection))
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.wait({sending})
            if connection.client.is_connected:
                await connection.client.unsubscribe_directly(subscription)

    def _wish(self, subject: bytes, _: bytes, __: bytes, body: bytes) -> None:
        now_s = self.monotonic_s()
        if len(self.wishes) >= WISHES_MAX:
            self.wishes = {episode: wish for episode, wish in self.wishes.items() if wish[0] > now_s}
        if len(self.wishes) < WISHES_MAX:
            episode = live.wished(subject.decode("ascii", "replace"))
            self.wishes[episode] = (now_s + live.WANTED_S, body == live.FRAMES)

    async def _send(self, connection: Connection) -> None:
        while True:
            subject, body = await self._waiting.get()
            try:
                await connection.send(frames.publish(subject, body))
            except NoAnswer:
                continue  # what is not seen now is not worth seeing later


class LiveEpisode:
    """One attempt at an episode."""

    __slots__ = ("_frame_due_s", "_id", "_live", "_step_due_s", "_steps", "_steps_max", "_subject", "_total_reward")

    def __init__(self, of: LiveEpisodes, task: EpisodeTask) -> None:
        self._live = of
        self._id = task.key.id
        self._subject = live.steps(task.key)
        self._steps_max = task.terms.steps_max
        self._steps = 0
        self._total_reward = 0.0
        self._step_due_s = self._frame_due_s = 0.0

    def stepped(self, result: StepResult) -> None:
        self._steps += 1
        self._total_reward += result.reward
        if self._live.wishes:
            self._tell(result)

    def _tell(self, result: StepResult) -> None:
        now_s = self._live.monotonic_s()
        if now_s < self._step_due_s and not result.done:
            return
        wanted, with_frames = self._live.wants(self._id)
        if not wanted:
            return
        self._step_due_s = now_s + STEP_S
        frame = None
        if with_frames and self._live.detail is Detail.FRAMES and now_s >= self._frame_due_s:
            self._frame_due_s = now_s + FRAME_S
            frame = _frame(result.observation)
        tells_rewards = self._live.detail is not Detail.STEPS
        step = Step(
            worker=self._live.worker,
            step=self._steps,
            steps_max=self._steps_max,
            done=result.done,
            reward=result.reward if tells_rewards else None,
            total_reward=self._total_reward if tells_rewards else None,
            frame=frame,
        )
        self._live.tell(self._subject, step)


def _frame(observation: Observation) -> Frame | None:
    """What the first camera sees, if the observation profile has any."""
    for camera, image in observation.rgb.items():
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=80)
        return Frame(camera=camera, jpeg_base64=base64.b64encode(file.getvalue()).decode())
    return None
