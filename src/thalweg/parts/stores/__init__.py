"""See the design notes: floors are folders, imports only go down."""
