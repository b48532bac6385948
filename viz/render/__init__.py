"""From values on a cortex to pictures: flat, inflated and vector."""
