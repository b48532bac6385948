"""From arrays to pictures. Never sees the database."""
