"""Fictional places, made from a seed: a whole municipality, and a small village for quick tests."""

from routing.region.sample.municipality import sample_region
from routing.region.sample.village import village_region

__all__ = ["sample_region", "village_region"]
