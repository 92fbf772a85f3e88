"""Plans for mixed fleets of drones and delivery robots: a pure library without clock, database or network."""
