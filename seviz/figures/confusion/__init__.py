"""The confusion matrix, readable at any number of classes."""
