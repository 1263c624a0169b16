"""Sources of the demonstration hospital: calls, notes and FAQ entries as real ones are, every defect labelled.

``bedside-train demo-sources --out demo/transcripts`` writes them anew; :func:`write.write_sources` is the whole path.
Phrases stand in the YAML files, in two families (``a``, ``b``) that share no template, name or misspelling: tune on
one, measure on the other.
"""
