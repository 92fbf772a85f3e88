"""File formats that planning reads and writes."""
