"""Which version of Todoke this is."""

from importlib.metadata import version

VERSION = version("todoke")
