"""Builds one kernel sandbox and runs a policy in it. A program of its own, for it changes what it is for good.

    this program          in our pid namespace; waits, and kills all of it on SIGTERM, or when we die
     └─ init              pid 1 of the new namespaces: builds the root, then only reaps
         └─ the policy    nobody, without capabilities, filtered, limited; executes `runner`

Whatever ends init ends every process of its pid namespace, and with the last of them go the mounts. What happens is
told as JSON lines on the status pipe: {"init": pid}, {"failed": reason}, {"exit": code} or {"signal": number}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from consumers.verification.sandbox import kernel, seccomp
from consumers.verification.sandbox.rlimits import limit_resources

NOBODY = 65534
DEVICES = ("null", "zero", "random", "urandom")
READ_ONLY = kernel.MOUNT_ATTR_RDONLY | kernel.MOUNT_ATTR_NOSUID
INODES_MAX = 10_000
NICENESS = 5
"""Below whatever else this machine does for us."""


def main() -> None:
    """`argv[1]`: the specification, JSON, as `namespaces` makes it."""
    specification = json.loads(sys.argv[1])
    status_fd: int = specification["status_fd"]
    os.set_inheritable(status_fd, False)
    try:
        _supervise(specification, status_fd)
    except (OSError, ValueError) as error:
        _tell(status_fd, failed=str(error))
        os._exit(1)


def _tell(status_fd: int, **what: object) -> None:
    os.write(status_fd, json.dumps(what).encode() + b"\n")


def _supervise(specification: dict[str, Any], status_fd: int) -> None:
    init = 0

    def kill_all(_signal: int, _frame: FrameType | None) -> None:
        if not init:
            os._exit(1)
        os.kill(init, signal.SIGKILL)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, kill_all)
    kernel.die_with_parent()
    _be_first_out_of_memory()
    _enter_user_namespace()
    kernel.die_with_parent()  # a change of credentials makes the kernel forget it
    kernel.unshare(
        kernel.CLONE_NEWNS
        | kernel.CLONE_NEWPID
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWCGROUP
    )
    alive, parent_alive = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    init = os.fork()
    if init == 0:
        os.close(parent_alive)
        _guarded(lambda: _init(specification, status_fd, alive), status_fd)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.close(alive)
    _tell(status_fd, init=init)
    os.write(parent_alive, b"!")
    for descriptor in (0, 1, 2, status_fd):
        os.close(descriptor)
    os.waitpid(init, 0)
    os._exit(0)


def _be_first_out_of_memory() -> None:
    """Should the machine have no memory left, the kernel looks here before it looks at us."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _enter_user_namespace() -> None:
    """Ids are mapped by a child that stays outside: only there may more than our own id be mapped."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    entered, tell_entered = os.pipe()
    mapped, tell_mapped = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        os.close(tell_entered)
        problem = b""
        if os.read(entered, 1):
            try:
                _map_ids(os.getppid(), outside_uid, outside_gid)
            except OSError as error:
                problem = f"mapping user ids: {error}".encode()
        os.write(tell_mapped, problem or b"!")
        os._exit(0)
    kernel.unshare(kernel.CLONE_NEWUSER)
    os.write(tell_entered, b"!")
    answer = os.read(mapped, 4096)
    os.waitpid(mapper, 0)
    for descriptor in (entered, tell_entered, mapped, tell_mapped):
        os.close(descriptor)
    if answer != b"!":
        raise ValueError(answer.decode())


def _map_ids(pid: int, uid: int, gid: int) -> None:
    """Root stays itself to build, and the policy is nobody; whoever else we are is nobody in there."""
    if uid == 0:
        maps = {"uid_map": f"0 0 1\n{NOBODY} {NOBODY} 1\n", "gid_map": f"0 {gid} 1\n{NOBODY} {NOBODY} 1\n"}
    else:
        maps = {"setgroups": "deny", "uid_map": f"{NOBODY} {uid} 1\n", "gid_map": f"{NOBODY} {gid} 1\n"}
    for name, text in maps.items():
        with open(f"/proc/{pid}/{name}", "w") as file:
            file.write(text)


def _guarded(run: Callable[[], None], status_fd: int) -> NoReturn:
    """The life of a forked child: never returns into its parent's code."""
    try:
        run()
    except (OSError, ValueError) as error:
        _tell(status_fd, failed=str(error))
    finally:
        os._exit(1)


def _init(specification: dict[str, Any], status_fd: int, alive: int) -> None:
    kernel.die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if not os.read(alive, 1):
        return  # our parent died before it could take us along
    os.close(alive)
    _build_root(specification)
    kernel.hide_memory()
    policy = os.fork()
    if policy == 0:
        _guarded(lambda: _become_policy(specification), status_fd)
    kernel.renounce_capabilities()
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    while True:
        pid, status = os.wait()
        if pid == policy:
            break
    if os.WIFSIGNALED(status):
        _tell(status_fd, signal=os.WTERMSIG(status))
    else:
        _tell(status_fd, exit=os.WEXITSTATUS(status))


def _build_root(specification: dict[str, Any]) -> None:
    """A root that has only what is named, read-only but for the scratch directory."""
    no_programs = kernel.MS_NOSUID | kernel.MS_NODEV
    os.umask(0o022)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", specification["stage"], "tmpfs", no_programs, "mode=0755,size=1m")
    os.chdir(specification["stage"])
    os.mkdir("old")
    os.mkdir("new")
    kernel.pivot_root(".", "old")
    os.chdir("/")
    kernel.mount("tmpfs", "/new", "tmpfs", no_programs, "mode=0755,size=1m")
    for source, target in specification["binds"]:
        _bind(f"/old{source}", f"/new{target}", READ_ONLY | kernel.MOUNT_ATTR_NODEV)
    for device in DEVICES:
        _bind(f"/old/dev/{device}", f"/new/dev/{device}", READ_ONLY)
    for target, symbolic in specification["links"]:
        os.symlink(symbolic, f"/new{target}")
    for hidden in specification["hidden"]:
        kernel.mount("tmpfs", f"/new{hidden}", "tmpfs", no_programs, "mode=0755,size=4k")
        kernel.set_mount_attributes(f"/new{hidden}", READ_ONLY, below=False)
    _mount_proc()
    os.mkdir("/new/tmp")
    size = specification["limits"]["scratch_bytes"]
    kernel.mount("tmpfs", "/new/tmp", "tmpfs", no_programs, f"mode=1777,size={size},nr_inodes={INODES_MAX}")
    kernel.unmount("/old")
    kernel.set_mount_attributes("/new", READ_ONLY, below=False)
    os.chdir("/new")
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")


def _bind(source: str, target: str, attributes: int) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    kernel.bind(source, target, attributes)


def _mount_proc() -> None:
    """Of the new pid namespace. Where ours is masked, as in containers, the kernel refuses: then it stays empty."""
    os.mkdir("/new/proc")
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    try:
        kernel.mount("proc", "/new/proc", "proc", flags)
    except PermissionError:
        return
    kernel.set_mount_attributes("/new/proc", READ_ONLY, below=False)


def _become_policy(specification: dict[str, Any]) -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    os.nice(NICENESS)
    limit_resources(specification["limits"], processes=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    kernel.renounce_capabilities()
    kernel.filter_system_calls(seccomp.program(os.uname().machine))
    command: list[str] = specification["command"]
    os.execve(command[0], command, specification["environment"])  # noqa: S606  # no shell


if __name__ == "__main__":
    main()
