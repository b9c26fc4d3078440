"""The pure half of the load generator: what traffic to send, its bytes, and what must come back."""
