"""The `bedside` command: plain words for people, JSON lines in and out for scripts."""
