"""The demo's world: scenes, and a simulated subject that sees them."""
