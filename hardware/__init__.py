"""How real vehicles are spoken to: protocols and links, not orders."""
