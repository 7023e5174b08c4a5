"""What readers see: where numbers come from, figures, and the site."""
