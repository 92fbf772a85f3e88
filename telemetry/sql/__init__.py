"""The store's schema and statements."""
