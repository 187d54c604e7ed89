"""Very many mixed requests, after which nothing is left."""
