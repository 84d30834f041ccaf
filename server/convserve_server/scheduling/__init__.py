"""Who may use the memory, and when."""
