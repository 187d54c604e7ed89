"""Not asking twice: replies that are kept, and one upstream request for all who ask the same at the same time."""
