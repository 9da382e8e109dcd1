"""How the pipeline is deployed, and the code that writes the parts of it that follow from other files."""
