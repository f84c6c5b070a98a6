"""Arrays in, arrays out: floor 0. It knows none of thalweg's words."""
