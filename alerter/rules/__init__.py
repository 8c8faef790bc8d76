"""Rule files: read with the place of every mistake, and their groups."""
