"""What a network loses without its SE blocks, and the smaller network that is left."""
