"""What answers at the server's addresses."""
