"""Files, folders, archives and standard input, as what there is to score."""
