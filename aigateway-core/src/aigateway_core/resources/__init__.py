"""The URLs: thin falcon resources, one file for each family. Each class declares who may call it."""
