"""What becomes of each field of a request that crosses: mapped, carried, dropped and reported, or refused."""
