"""Our own recognizers: rules around cue words, one file per kind of identifier."""
