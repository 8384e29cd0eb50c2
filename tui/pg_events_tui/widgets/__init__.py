"""Parts of screens: lists, panes, rows and fields that draw lines of text."""
