"""One language to choose records of any kind, and field paths to say what of one is updated."""
