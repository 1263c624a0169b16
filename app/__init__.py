"""Bedside: patient-support chat that a hospital runs on its own machines."""
