"""Commands that bring history in, out and before the present; nothing here serves."""
