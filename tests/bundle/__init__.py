"""How the program is shipped, tried on what is installed here: no index, no network."""
