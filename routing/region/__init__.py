"""Operating areas: their frame, terrain, zones, ground network and sites."""
