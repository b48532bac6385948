"""HTTP: the application, its handlers, and the server that runs it."""
