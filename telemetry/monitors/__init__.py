"""Monitors: they watch samples and say what they find; what needs a person is decided elsewhere."""
