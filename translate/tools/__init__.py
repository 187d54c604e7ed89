"""Tools and their calls, where the two sides of a crossing know different kinds of them."""
