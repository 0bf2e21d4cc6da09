"""What a launch costs: from the platform's login to the first page, in one process, on SQLite.

python bench/launches.py [HOW MANY]
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from flask.testing import FlaskClient

from lti_tool import clock, settings
from lti_tool.app import create_app
from lti_tool.cli.operator import prepare, publish, read_catalogue
from lti_tool.database import db
from lti_tool.lti.registrations import add_platform
from lti_tool.practice_lms import LmsConfig, RunningLms, serve, sign

TOOL = "http://tool.localhost:8700"
LTI = "https://purl.imsglobal.org/spec/lti/claim/"
WARM_UP = 5


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        app = create_app(
            settings.load({"TESSERA_HOME": folder, "QUEUE_URL": "memory://", "LOG_LEVEL": "ERROR"})
        )
        config = LmsConfig(
            behaviour="moodle",
            port=0,
            home=home / "lms",
            tool_login_url=f"{TOOL}/lti/login",
            tool_launch_url=f"{TOOL}/lti/launch",
            tool_jwks_url=f"{TOOL}/lti/jwks",
        )
        with serve(config) as lms:
            connect(app, lms)
            client = app.test_client()
            for number in range(WARM_UP):
                launch(client, lms, number)
            wall, cpu = [], time.process_time()
            for number in range(count):
                started = time.perf_counter()
                launch(client, lms, number)
                wall.append(time.perf_counter() - started)
            cpu = time.process_time() - cpu
        with app.app_context():
            db.engine.dispose()
    print(
        f"{count} launches, login to first page: {1000 * statistics.median(wall):.0f} ms median, "
        f"{1000 * cpu / count:.0f} ms of processor time each"
    )


def connect(app: Flask, lms: RunningLms) -> None:
    facts = {name: value or "" for name, value in lms.registration.items()}
    with app.app_context():
        now = clock.now()
        prepare(now)
        publish(
            read_catalogue(settings.config_dir() / "catalog", settings.config_dir() / "frameworks"), now=now
        )
        add_platform(
            name="Bench",
            product="moodle",
            issuer=facts["issuer"],
            client_id=facts["client_id"],
            auth_url=facts["auth_url"],
            token_url=facts["token_url"],
            jwks_url=facts["jwks_url"],
            deployment_ids=[facts["deployment_id"]],
            now=now,
        )
        db.session.commit()


def launch(client: FlaskClient, lms: RunningLms, number: int) -> None:
    """One learner of many arrives at the activity."""
    facts = lms.registration
    login = client.post(
        "/lti/login",
        data={
            "iss": facts["issuer"],
            "client_id": facts["client_id"],
            "login_hint": str(number),
            "target_link_uri": f"{TOOL}/lti/launch",
        },
        base_url="https://tool.localhost",
    )
    asked = {name: values[0] for name, values in parse_qs(urlsplit(login.location).query).items()}
    now = int(time.time())
    token = sign(
        lms,
        {
            "iss": facts["issuer"],
            "aud": facts["client_id"],
            "sub": str(number),
            "name": f"Learner {number}",
            "exp": now + 60,
            "iat": now,
            "nonce": asked["nonce"],
            f"{LTI}version": "1.3.0",
            f"{LTI}message_type": "LtiResourceLinkRequest",
            f"{LTI}deployment_id": facts["deployment_id"],
            f"{LTI}target_link_uri": f"{TOOL}/lti/launch",
            f"{LTI}roles": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
            f"{LTI}context": {"id": "2", "label": "SPED4500", "title": "Inclusive Practice"},
            f"{LTI}resource_link": {"id": "7", "title": "UDL"},
            f"{LTI}custom": {"credential": "udl-variability"},
        },
    )
    page = client.post(
        "/lti/launch",
        data={"id_token": token, "state": asked["state"]},
        base_url="https://tool.localhost",
        follow_redirects=True,
    )
    assert page.status_code == 200, page.text


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
