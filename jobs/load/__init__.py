"""The load generator: drives a job with real traffic through Kafka and checks everything that comes back."""
