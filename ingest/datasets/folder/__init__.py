"""A folder of one's own: images, responses, and a table that joins them."""
