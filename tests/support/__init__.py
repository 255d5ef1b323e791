"""What tests share: images made in a moment, and marks for tests that need more than Python."""
