"""What writes the answers: one class for each kind of model, all with the same one method."""
