"""The `gpnas-sr` command: one file a sub-command; a stage is imported only when its sub-command runs."""
