"""Images as named descriptors: records, handlers, walking, and the store of names."""
