"""The MAVLink link: drones with a PX4 autopilot, through MAVSDK over sockets of our own."""
