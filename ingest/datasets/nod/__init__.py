"""The Natural Object Dataset (OpenNeuro ds004496)."""
