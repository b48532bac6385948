"""Pictures that data sets keep otherwise than as a file each."""
