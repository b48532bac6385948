"""The GraphQL schema, its resolvers and its limits."""
