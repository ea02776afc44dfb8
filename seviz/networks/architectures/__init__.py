"""Networks that no model zoo has."""
