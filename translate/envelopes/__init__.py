"""Messages in another wrapping: the same dialect, with the path, the body's outer fields and the frames of a cloud."""
