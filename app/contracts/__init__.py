"""What crosses process or package borders: plain, versioned, free of behaviour that needs a service."""
