"""The database: connections, migrations and the statements in ``.sql`` files."""
