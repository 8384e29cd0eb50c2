"""Parts of screens: lists, panes, rows and fields that paint lines of text."""
