"""The screens, one a mode, and the dialogs above them."""
