"""What tests hold the package against: written apart from it, in exact arithmetic."""
