"""What a stranger's graph can cost us: the time and memory of one small process, and nothing else."""

import threading

import pytest

from lti_tool.issuers import proof
from lti_tool.verification.sandbox import Sandbox

OPTIONS = {"type": "DataIntegrityProof", "cryptosuite": proof.CRYPTOSUITE, "created": "2026-11-21T12:00:00Z"}


def big(badge):
    unsigned = {name: part for name, part in badge.items() if name != "proof"}
    return {**unsigned, "evidence": [{"type": ["Evidence"], "name": str(k)} for k in range(300)]}


@pytest.fixture
def box():
    made = []

    def make(**limits):
        made.append(Sandbox(**limits))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_it_says_what_would_be_said_here(box, badge):
    unsigned, options = proof.to_hash(badge, badge["proof"][0])
    sandbox = box()

    assert sandbox.hash_data(unsigned, options, may_repeat=False) == proof.hash_data(unsigned, options)
    with pytest.raises(proof.UndefinedTerm, match="honours"):
        sandbox.hash_data({**unsigned, "honours": "all"}, options, may_repeat=False)


def test_a_document_that_takes_too_long_is_stopped_and_the_next_is_served(box, badge):
    sandbox = box(cpu_seconds=0.02)
    unsigned, options = proof.to_hash(badge, badge["proof"][0])

    with pytest.raises(proof.TooComplex, match="too long"):
        sandbox.hash_data(big(badge), OPTIONS, may_repeat=False)
    sandbox._cpu_seconds = 10.0

    assert sandbox.hash_data(unsigned, options, may_repeat=False) == proof.hash_data(unsigned, options)


def test_a_process_that_does_not_come_back_is_ended(box, badge):
    sandbox = box(wall_seconds=0.05)

    with pytest.raises(proof.TooComplex, match="too long"):
        sandbox.hash_data(big(badge), OPTIONS, may_repeat=False)


def test_a_process_that_was_killed_is_replaced(box, badge):
    sandbox = box()
    unsigned, options = proof.to_hash(badge, badge["proof"][0])
    first = sandbox.hash_data(unsigned, options, may_repeat=False)

    sandbox._process.kill()
    sandbox._process.wait()

    assert sandbox.hash_data(unsigned, options, may_repeat=False) == first


def test_many_at_once_get_each_their_own_answer(box, badge):
    """pyld is not safe for threads; the process takes one after the other."""
    sandbox = box()
    unsigned, options = proof.to_hash(badge, badge["proof"][0])
    found = {}

    def ask(number):
        document = {**unsigned, "name": f"Badge {number}"}
        found[number] = sandbox.hash_data(document, options, may_repeat=False)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found.values())) == 8
    assert found[3] == proof.hash_data({**unsigned, "name": "Badge 3"}, options)


def test_the_process_knows_none_of_our_secrets(box, badge, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    sandbox = box()
    unsigned, options = proof.to_hash(badge, badge["proof"][0])
    sandbox.hash_data(unsigned, options, may_repeat=False)

    with open(f"/proc/{sandbox._process.pid}/environ", "rb") as environment:
        assert b"SECRET" not in environment.read()
