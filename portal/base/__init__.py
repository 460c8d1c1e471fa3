"""What every page has in common: the frame of the site, its style sheet, its security headers, and the health check."""
