"""Events and state as lines of text. Knows no Textual."""
