"""The Natural Scenes Dataset."""
