"""Commands of `covseg` that need more than an edge device has."""
