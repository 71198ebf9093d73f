"""What scores an answer: reward models, classifiers, a user's function, the assistant's own checks; and attacks on them."""
