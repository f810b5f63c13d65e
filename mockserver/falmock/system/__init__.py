"""Files, descriptors and connections of the operating system."""
