"""Keys that expire, and are had anew: of commands, of Google's service accounts, of AWS."""
