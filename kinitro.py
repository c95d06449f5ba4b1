"""The `kinitro` command: mounts each package's commands; `backend` and `demo` run everything together."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import dotenv
import typer
from rich.console import Console
from rich.markup import escape
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

from api.together.home import Home
from events.cli import FAILED, INTERRUPTED
from events.for_people import ForPeople
from events.mounting import Mounted, mount
from sim.runtime.children import REFUSED

NOT_OURS_TO_MEND = {errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS}
"""A disk that is full, a directory that is not writable: the operator's, wherever it shows."""

COMMANDS = (
    Mounted("api", "api.commands:serve", "Serve the read models, the history and the weights over HTTP."),
    Mounted("executor", "consumers.commands:executor", "Run simulation workers: tasks in, episode outcomes out."),
    Mounted(
        "worker",
        "consumers.commands:worker",
        "Run one worker process; `executor` keeps several of them running.",
        hidden=True,
    ),
    Mounted(
        "build-eval-env",
        "consumers.simulation.build_command:build_eval_env",
        "Build the image of workers in containers, for `executor --runtime docker`.",
    ),
    Mounted(
        "verifier",
        "consumers.verification.commands:verifier",
        "Run one verifier process; `executor --verification` keeps one running.",
    ),
    Mounted(
        "verify",
        "consumers.verification.by_hand_command:verify",
        "Check by hand whether a policy server acts as the committed repository.",
    ),
    Mounted("projector", "projectors.commands:projector", "Fold the log into the read models, for ever."),
    Mounted(
        "replay",
        "projectors.replay_command:replay",
        "Make read models anew beside the live ones, compare, and put them in their place.",
    ),
    Mounted(
        "explain",
        "consumers.explaining.commands:explain",
        "Say why a miner has its weight: subsets won and lost, to whom, and by how much against which threshold.",
    ),
    Mounted(
        "compare",
        "consumers.explaining.comparison:compare",
        "Say in which episodes of a cycle two miners differ, and whether that separates them.",
    ),
    Mounted(
        "rescore",
        "consumers.rescoring.commands:rescore",
        "Show a cycle's scores and weights under other rules, beside the published ones.",
    ),
    Mounted(
        "scheduler",
        "api.together.scheduler:scheduler",
        "Discover miners, conduct cycles, score those that are sealed, and sign what came out.",
    ),
    Mounted("backend", "api.together.backend:backend", "Run everything in one supervised group, until Ctrl-C."),
    Mounted(
        "demo",
        "api.together.demo:demo",
        "Run a real cycle against three policies of our own, from physics to weights, and keep the API up.",
    ),
    Mounted(
        "top",
        "events.top.command:top",
        "Show the running cycle as it fills up, miner by environment, and then the next.",
    ),
    Mounted(
        "validate",
        "consumers.validator.commands:validate",
        "Check the backend's weights against the evidence, and submit them to the chain.",
    ),
    Mounted("audit", "consumers.audit.commands:audit", "Check what the log says by doing it again."),
    Mounted("episode", "consumers.audit.commands:episode", "Look at single episodes."),
    Mounted("identity", "consumers.signing.commands:identity", "The keys with which the backend signs."),
    Mounted(
        "cycle",
        "producers.cycles.commands:cycle",
        "Evaluation cycles.",
        Mounted(
            "run",
            "api.together.cycle_run:run_cycle",
            "Run the next cycle now, or the one that is running to its end, and show what comes out.",
        ),
    ),
    Mounted("crypto", "producers.crypto_commands:crypto", "The key pair for which miners encrypt their endpoints."),
    Mounted(
        "miner",
        "producers.miner.commands:miner",
        "For miners: commit to a policy, and try its server before the backend does.",
        Mounted(
            "verify-endpoint",
            "consumers.miner.commands:verify_endpoint",
            "Try a policy server as an evaluation does: all calls, times and shapes; status 1 where it would fail.",
        ),
        Mounted(
            "init",
            "consumers.miner.commands:init",
            "Write a policy server to begin with: a template, its README, requirements and Dockerfile.",
        ),
    ),
    Mounted("rules", "producers.rules.commands:rules", "The scoring rules: in force, and announced."),
    Mounted("webhooks", "consumers.webhooks.commands:webhooks", "What receivers of webhooks need to know."),
    Mounted("db", "projectors.commands:db", "The database of read models."),
    Mounted("env", "sim.commands:env", "Environments."),
    Mounted("policy", "sim.commands:policy", "Policies of our own."),
    Mounted("tasks", "events.task_commands:tasks", "Look at the work queue, and at tasks that nobody could take."),
    Mounted("events", "events.commands:events", "Look at the log, take it along, or mirror it."),
)
"""Each is imported when it is called; the line of help is the first of its own."""

app = typer.Typer(
    name="kinitro",
    help="Evaluate robot policies of a subnet's miners, score them, publish their weights; replay everything.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _configure(
    context: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="KINITRO_HOME", help="Where keys and the embedded servers keep their data.")
    ] = Path(".kinitro"),
) -> None:
    context.obj = Home(home.resolve())


program = typer.main.get_group(app)
mount(program, *COMMANDS)


def main() -> None:
    """The console script: one line for what people can mend, a traceback for what only we can."""
    dotenv.load_dotenv(Path.cwd() / ".env")
    try:
        sys.exit(program(prog_name="kinitro", standalone_mode=False))
    except NoArgsIsHelpError:
        sys.exit(REFUSED)  # the help was shown when this was raised
    except ClickException as error:
        _refuse(_usage(error))
    except ForPeople as error:
        _refuse(str(error))
    except BrokenPipeError:  # whoever read our output has seen enough: head, or a pager
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as error:
        if error.errno not in NOT_OURS_TO_MEND:
            raise
        _refuse(f"{error.filename or 'a file'}: {error.strerror}; make room or choose another --home")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)


def _usage(error: ClickException) -> str:
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    command = error.ctx.command_path if isinstance(error, UsageError) and error.ctx else "kinitro"
    return f"{message} (see {command} --help)"


def _refuse(message: str) -> None:
    Console(stderr=True, soft_wrap=True, emoji=False).print(
        f"[bold red]kinitro:[/] {escape(message)}", highlight=False
    )
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
