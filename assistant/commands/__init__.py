"""The commands of `assistant`, one module for each group; a command's body is one call of the library."""
