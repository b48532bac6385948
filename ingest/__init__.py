"""From images and responses to rows of the atlas."""
