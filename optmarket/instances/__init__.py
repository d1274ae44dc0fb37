"""Instance files: read, checked, varied, and written as templates."""
