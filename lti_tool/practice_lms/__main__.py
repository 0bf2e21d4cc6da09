"""Run a practice LMS until it is interrupted.

python -m lti_tool.practice_lms --behaviour moodle --port 8600 --tool http://tool.localhost:8700 --home DIR
"""

import argparse
import json
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from lti_tool.practice_lms import LmsConfig, serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lti_tool.practice_lms", description="A practice LMS.")
    parser.add_argument("--behaviour", choices=("canvas", "moodle"), default="canvas")
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--tool", default="http://tool.localhost:8700", help="where browsers find the tool")
    parser.add_argument(
        "--tool-service", help="where this LMS finds the tool (default: its port at 127.0.0.1)"
    )
    parser.add_argument("--home", type=Path, required=True, help="folder for the LMS's data")
    asked = parser.parse_args()
    tool = asked.tool.rstrip("/")
    service = asked.tool_service or f"http://127.0.0.1:{urlsplit(tool).port or 80}"
    config = LmsConfig(
        behaviour=asked.behaviour,
        port=asked.port,
        home=asked.home,
        tool_login_url=f"{tool}/lti/login",
        tool_launch_url=f"{tool}/lti/launch",
        tool_jwks_url=f"{service.rstrip('/')}/lti/jwks",
    )
    try:
        running = serve(config)
    except OSError as problem:
        parser.exit(1, f"Port {asked.port} cannot be used: {problem.strerror}. Choose another with --port.\n")
    with running as lms:
        sys.stdout.write(
            f"Practice LMS ({asked.behaviour}): {lms.url}\n{json.dumps(lms.registration, indent=2)}\n"
        )
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("Stopped.\n")


if __name__ == "__main__":
    main()
