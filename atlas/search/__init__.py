"""What is asked of an atlas: models, concepts, readouts, indexes, labels."""
