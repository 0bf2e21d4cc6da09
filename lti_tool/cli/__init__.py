"""`lti-tool`: what operators type. Each command is as thin as a route."""

import sys
from pathlib import Path

import click

from lti_tool import __version__, selfcheck, worker
from lti_tool.app import create_app
from lti_tool.cli import badges, demo, frames, operator, platforms, records, server
from lti_tool.cli.console import Desk, application, check_port, check_schema, read_settings


@click.group(cls=Desk, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lti-tool")
def main() -> None:
    """Tessera: micro-credentials inside Canvas and Moodle, over LTI 1.3 Advantage.

    Try it with `lti-tool demo`. Settings come from the environment and the file that TESSERA_CONFIG names.
    """


main.add_command(operator.database, "db")
main.add_command(operator.catalog)
platforms.platform.add_command(frames.frame_origin, "frame-origin")
main.add_command(platforms.platform)
main.add_command(platforms.admin)
main.add_command(operator.registrar)
main.add_command(operator.keys)
main.add_command(records.backpack)
main.add_command(badges.badges)
main.add_command(records.audit)
main.add_command(records.credit)

_PORT = click.IntRange(1, 65535)


@main.command("demo")
@click.option(
    "--behaviour",
    type=click.Choice(["canvas", "moodle"]),
    default="canvas",
    show_default=True,
    help="Which product the practice LMS behaves like.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/demo"),
    show_default=True,
    help="Folder for all data. Delete it to begin anew.",
)
@click.option("--tool-port", type=_PORT, default=8700, show_default=True, help="Port of Tessera.")
@click.option("--lms-port", type=_PORT, default=8600, show_default=True, help="Port of the practice LMS.")
def start_demo(behaviour: str, home: Path, tool_port: int, lms_port: int) -> None:
    """Run Tessera and a practice LMS together, to try everything on this machine. Ctrl-C stops all of it."""
    sys.exit(demo.run(behaviour, home.absolute(), tool_port, lms_port))


@main.command("run")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=_PORT, default=8700, show_default=True, help="Port to listen on.")
def run_server(host: str, port: int) -> None:
    """Serve Tessera's pages. A worker has to run beside it."""
    with application():
        check_port(host, port, "--port")
    server.serve(host, port)


@main.command("worker")
def run_worker() -> None:
    """Send grades to gradebooks, sign badges and send letters, until stopped. Any number may run."""
    app = create_app(read_settings())
    with app.app_context():
        check_schema()
    worker.run(app)


@main.command("selfcheck")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for what earners, registrars and verifiers received.",
)
def run_selfcheck(out: Path) -> None:
    """Walk the whole main job over HTTP against the practice LMS, in a temporary home."""
    sys.exit(selfcheck.run(out))
