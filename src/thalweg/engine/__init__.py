"""The loop, the books, the study and its result: floor 3."""
