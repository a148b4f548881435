"""The recipe that trains the embedded Japanese speech model: text, speech, training, export, evaluation."""
