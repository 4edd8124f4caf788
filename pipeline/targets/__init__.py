"""What an annotator gives: size targets and their corruption, scribbles and clicks, made from masks or read from files."""
