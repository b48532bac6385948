"""The types of the GraphQL schema."""
