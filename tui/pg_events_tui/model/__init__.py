"""Events and state as the console keeps them. Knows no Textual."""
