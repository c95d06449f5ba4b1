"""Runs inside the sandbox, alone: loads the policy of a repository and answers questions about it.

A repository is a policy if its root has `policy.py` with

    def make_policy() -> object

whose object has `reset(task_config: dict) -> None` and `act(obs: dict) -> dict`: the dictionaries of a policy
server's `POST /reset` and `POST /act`, but that images and proprioception are numpy arrays (uint8
[height, width, 3], float32 [n]). `act` returns the value of `action`: {"continuous": {channel: n numbers}, ...},
numpy arrays welcome. A policy that gives the same actions whenever it is reset with the same `task_config` and sees
the same, and says so by an attribute `seeded = True`, is held to it. The working directory is the repository,
read-only; `/tmp` can be written to, and is small. numpy can be imported, and what the operator put beside it.

Everything here can be changed by the policy: whoever reads the answers trusts none of them.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import sys
from typing import Any, BinaryIO

HEADER = struct.Struct("<4sBII")
MAGIC = b"KIN1"
RESET, ACT = 1, 2
ANSWER, RAISED, OUT_OF_MEMORY = 1, 2, 3
ERROR_CHARS_MAX = 500


def main() -> None:
    """`runner.py CODE_DIR [PACKAGES ...]`, requests on standard input, answers on standard output."""
    questions, answers = _own_pipes()
    code_dir, packages = sys.argv[1], sys.argv[2:]
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HOME": "/tmp"})  # noqa: S108
    os.chdir(code_dir)
    sys.path[:0] = [code_dir, *packages]
    sys.argv = ["policy.py"]
    policy = None
    kind, body = ANSWER, b""
    try:
        from policy import make_policy  # type: ignore[import-not-found]

        policy = make_policy()
    except MemoryError:
        kind = OUT_OF_MEMORY
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        kind, body = RAISED, _described(error)
    _write(answers, kind, 0, body)
    if policy is None:
        sys.exit(1)
    _serve(policy, questions, answers)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes under other numbers: what a policy prints goes where its errors go."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return questions, answers


def _serve(policy: Any, questions: BinaryIO, answers: BinaryIO) -> None:
    while header := questions.read(HEADER.size):
        _, question, number, length = HEADER.unpack(header)
        kind, body = _answered(policy, question, questions.read(length))
        _write(answers, kind, number, body)


def _answered(policy: Any, question: int, body: bytes) -> tuple[int, bytes]:
    try:
        message = json.loads(body)
        if question == RESET:
            policy.reset(message["task_config"])
            seeded = getattr(policy, "seeded", False) is True
            return ANSWER, b'{"status":"ok","seeded":true}' if seeded else b'{"status":"ok"}'
        action = policy.act(_decoded(message["obs"]))
        return ANSWER, json.dumps({"action": action}, default=_plain).encode()
    except MemoryError:
        return OUT_OF_MEMORY, b""
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        return RAISED, _described(error)


def _decoded(obs: dict[str, Any]) -> dict[str, Any]:
    import numpy as np  # after the policy had its chance to run without it

    def image(message: dict[str, Any]) -> Any:
        data = base64.b64decode(message["data"])
        return np.frombuffer(data, message["dtype"]).reshape(message["shape"]).copy()

    images = {key: {camera: image(value) for camera, value in obs.get(key, {}).items()} for key in ("rgb", "depth")}
    proprio = {name: np.array(values, np.float32) for name, values in obs.get("proprio", {}).items()}
    return {**obs, **images, "proprio": proprio}


def _plain(value: Any) -> Any:
    """Numpy arrays and numbers, without knowing numpy."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"an action of {type(value).__name__} cannot be sent; give numbers, lists or numpy arrays")


def _described(error: Exception) -> bytes:
    return f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX].encode(errors="replace")


def _write(answers: BinaryIO, kind: int, number: int, body: bytes) -> None:
    answers.write(HEADER.pack(MAGIC, kind, number, len(body)) + body)
    answers.flush()


if __name__ == "__main__":
    main()
