"""The hall: what every pass, count and comparison leaves behind. NumPy only, and nothing but `errors`."""
