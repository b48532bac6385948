"""The doors: GraphQL, HTTP, the explorer page and the command line."""
