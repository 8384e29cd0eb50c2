"""Dialogs in front of a screen, which know no more of the console than they are given."""
