"""Maps and pictures that all doors share: values on a cortex, outlines, cards."""
