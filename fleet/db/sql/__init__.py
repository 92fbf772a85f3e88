"""The service's SQL statements, a file for each noun."""
