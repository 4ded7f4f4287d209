"""Customer success analytics: what this team makes of the data that others bring."""
