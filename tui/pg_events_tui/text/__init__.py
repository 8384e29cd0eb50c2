"""Events and state as lines of text. Independent of Textual."""
