"""Identifiers out before the model, back in for the patient; the only importer of presidio."""
