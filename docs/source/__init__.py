"""What makes the documentation: pictures, generated parts of pages, and the site."""
