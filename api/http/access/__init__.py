"""Who may ask a server, from where, and how often."""
