"""The face of every service over HTTP: one application, one way to say what is wrong, one look for all pages."""
