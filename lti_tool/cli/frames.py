"""`lti-tool platform frame-origin`: which further sites may show Tessera in a frame."""

import click

from lti_tool import clock
from lti_tool.cli.console import Stopped, application
from lti_tool.cli.operator import find_deployment
from lti_tool.database import db
from lti_tool.lti.registrations import add_frame_origin, remove_frame_origin

_PLATFORM = click.option("--platform", "named", required=True, help="Its number or name (`platform list`).")
_DEPLOYMENT = click.option("--deployment", help="May be left out where the platform has only one.")
_SITE = click.argument("address")


@click.group()
def frame_origin() -> None:
    """Let further sites show Tessera in a frame.

    The addresses that a launch names may always. A school that opens Canvas under a domain of its own, or inside a
    portal, may need to be named here: otherwise its browsers show an empty frame.
    """


@frame_origin.command("add")
@_PLATFORM
@_DEPLOYMENT
@_SITE
def add(named: str, deployment: str | None, address: str) -> None:
    """Let pages of the site at ADDRESS, such as https://canvas.example.edu, frame this deployment's visits."""
    with application():
        origin = add_frame_origin(find_deployment(named, deployment), address, now=clock.now())
        db.session.commit()
        click.echo(f"{origin} may frame Tessera from the next launch on.")


@frame_origin.command("remove")
@_PLATFORM
@_DEPLOYMENT
@_SITE
def remove(named: str, deployment: str | None, address: str) -> None:
    """Take a site off the list."""
    with application():
        if not remove_frame_origin(find_deployment(named, deployment), address, now=clock.now()):
            raise Stopped(
                f"{address} does not stand on that list; `lti-tool platform frame-origin list` shows it."
            )
        db.session.commit()
        click.echo("Removed. Visits that have begun keep it until they end.")


@frame_origin.command("list")
@_PLATFORM
@_DEPLOYMENT
def show(named: str, deployment: str | None) -> None:
    """The sites that may frame a deployment's visits besides those that each launch names."""
    with application():
        origins = find_deployment(named, deployment).frame_origins
        for origin in origins:
            click.echo(origin)
        if not origins:
            click.echo("None besides those that each launch names.")
