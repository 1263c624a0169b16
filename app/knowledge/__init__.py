"""Approved articles: read from Markdown, versioned, split into passages, indexed and searched."""
