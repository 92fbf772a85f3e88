"""Simulated vehicles, each a program of its own that speaks only its protocol."""
