"""Commands that bring models into an atlas, one by one or a study of many, and that label what is there."""
