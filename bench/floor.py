"""The least that any tool must do for a launch, in bare Flask: what ours is compared with.

Login stores a state and redirects; launch verifies one RS256 token with a cached key, uses the state up and writes a
visit in one transaction, and redirects; the page reads that visit and renders. Nothing else is checked, nobody is
known, nothing is kept apart. Only the database is set up as Tessera sets it up, so that a transaction is as durable and
costs as much on both sides.
"""

import json
import os
import secrets
from base64 import urlsafe_b64decode

import jwt
from flask import Flask, redirect, render_template, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, MetaData, Table, Text, insert, select, update
from werkzeug import Response

# SQLite's journal, and the check of a connection that was idle.
import lti_tool.database  # noqa: F401 - it sets up every connection

_PAGE = """<!doctype html><html lang="en"><head><title>{{ title }}</title></head>
<body><h1>{{ title }}</h1><p>Hello, {{ name }}.</p></body></html>"""


def create_floor() -> Flask:
    """The application; DATABASE_URL and JWKS (a file) come from the environment."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db = SQLAlchemy(app)
    tables = MetaData()
    states = Table(
        "state", tables, Column("state", Text, primary_key=True), Column("nonce", Text), Column("used", Text)
    )
    visits = Table("visit", tables, Column("id", Text, primary_key=True), Column("name", Text))
    with app.app_context():
        tables.create_all(db.engine, checkfirst=True)
    with open(os.environ["JWKS"], encoding="utf-8") as file:
        keys = {jwk["kid"]: jwt.PyJWK(jwk, algorithm="RS256").key for jwk in json.load(file)["keys"]}

    template = app.jinja_env.from_string(_PAGE)

    @app.post("/lti/login")
    def login() -> Response:
        state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        db.session.execute(insert(states).values(state=state, nonce=nonce))
        db.session.commit()
        answer = redirect(f"{request.form['iss']}/auth?state={state}&nonce={nonce}")
        answer.set_cookie("floor", state, secure=True, httponly=True, samesite="None")
        return answer

    @app.post("/lti/launch")
    def launch() -> Response:
        token = request.form["id_token"]
        head = token.partition(".")[0]
        kid = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
        claims = jwt.decode(token, keys[kid], ["RS256"], options={"verify_aud": False})
        used = db.session.execute(
            update(states)
            .where(states.c.state == request.form["state"], states.c.nonce == claims["nonce"])
            .where(states.c.used.is_(None))
            .values(used="yes")
            .returning(states.c.state)
        ).one()
        visit = secrets.token_urlsafe(24)
        db.session.execute(insert(visits).values(id=visit, name=claims["name"]))
        db.session.commit()
        assert used
        return redirect(f"/l/{visit}/", code=303)

    @app.get("/l/<visit>/")
    def page(visit: str) -> str:
        found = db.session.execute(select(visits).where(visits.c.id == visit)).one()
        return render_template(template, title="Welcome", name=found.name)

    return app
