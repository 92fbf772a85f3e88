"""Classic vehicle routing files: VRPLIB, Solomon and Homberger, Li and Lim, and their solutions."""
