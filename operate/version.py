"""Which release this is. Everything that tells a version takes it from here."""

VERSION = "0.2.0"
