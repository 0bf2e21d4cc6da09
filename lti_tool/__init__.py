"""Tessera: competence-based micro-credentials inside a learning management system, over LTI 1.3 Advantage."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("tessera-lti")
except PackageNotFoundError:  # Run from a source tree that was never installed.
    __version__ = "0.0.0"
