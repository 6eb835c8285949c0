"""`dpn demo sessions`: consumers download through providers, and what was served is paid."""
