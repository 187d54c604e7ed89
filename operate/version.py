"""The version of the program; everything that shows a version reads it here."""

VERSION = "0.2.0"
