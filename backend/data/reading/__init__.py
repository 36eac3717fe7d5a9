"""From what the user typed to rows: files, folders and hub ids, known by content and read as a stream."""
