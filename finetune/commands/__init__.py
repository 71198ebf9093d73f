"""What each verb of the command line does: a function that reads its arguments, calls the library and prints what comes back."""
