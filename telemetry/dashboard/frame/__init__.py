"""What every page comes in: session, language, time zone, search, policy reports."""
