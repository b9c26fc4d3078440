"""Card scoring: every transaction against its card's last 20."""
