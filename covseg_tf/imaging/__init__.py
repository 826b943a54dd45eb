"""What is in this file: readers of films and volumes, whatever their format."""
