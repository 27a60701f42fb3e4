"""The model of a search: what trainings of several lengths, some failed, say about the scores of architectures."""
