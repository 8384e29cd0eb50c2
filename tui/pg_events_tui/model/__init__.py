"""Events and state of the console. Independent of Textual."""
