"""Scripted days: a region, a fleet, orders and the people who work with them, run against the real service."""
