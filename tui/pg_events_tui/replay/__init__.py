"""A replay as the console has it: its events, its outcomes, its lines. Knows no Textual."""
