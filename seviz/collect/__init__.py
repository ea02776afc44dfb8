"""The pass: a network meets images, once, and a record is what is left."""
