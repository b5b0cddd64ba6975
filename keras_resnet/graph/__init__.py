"""Models made from models, and made fast."""
