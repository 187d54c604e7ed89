"""A fleet of real processes: hosts with workers, a Redis, a balancer in front, and load."""
