"""Evaluation: whole images at their original size, one confusion matrix per split."""
