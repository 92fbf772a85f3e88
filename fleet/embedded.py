"""Servers of our own for machines that have none: a database and a broker, on loopback only."""

from __future__ import annotations

from fleet.embedded_broker import EmbeddedBroker
from fleet.embedded_postgres import EmbeddedPostgres

__all__ = ["EmbeddedBroker", "EmbeddedPostgres"]
