"""Stateless losses of tensors: one value per pixel or image, reduced by the caller."""
